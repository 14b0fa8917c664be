//! The parameter store: what does not match is an error that changes nothing.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use venule_nn::{Error, Init, ParamStore, SafetensorsFile, read_safetensors};

fn store() -> ParamStore {
    let store = ParamStore::new(7, &Device::Cpu);
    let root = store.root();
    root.get((2, 3), "weight", Init::XavierUniform).unwrap();
    root.pp("norm").get(3, "bias", Init::Zeros).unwrap();
    store
}

fn values(store: &ParamStore) -> Vec<Vec<f32>> {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    store.tensors().iter().map(|(_, t)| flat(t)).collect()
}

fn tensors(of: &ParamStore) -> HashMap<String, Tensor> {
    of.tensors().into_iter().collect()
}

#[test]
fn a_store_takes_what_fits_its_own_tensors_too() {
    let (store, other) = (store(), ParamStore::new(8, &Device::Cpu));
    let before = values(&store);
    store.load_tensors(&tensors(&store)).unwrap();
    assert_eq!(values(&store), before);
    other
        .root()
        .get((2, 3), "weight", Init::XavierUniform)
        .unwrap();
    other.root().pp("norm").get(3, "bias", Init::Ones).unwrap();
    store.load_tensors(&tensors(&other)).unwrap();
    assert_eq!(values(&store), values(&other));
    // A copy: what is loaded is not tied to where it came from.
    store.load_tensors(&tensors(&self::store())).unwrap();
    assert_ne!(values(&store), values(&other));
}

#[test]
fn a_store_made_of_anothers_variables_is_a_copy() {
    let teacher = store();
    let before = values(&teacher);
    let given: HashMap<String, Tensor> = teacher
        .params()
        .iter()
        .map(|param| (param.name().to_owned(), param.tensor()))
        .collect();
    for student in [
        ParamStore::with_values(given.clone(), 0, &Device::Cpu),
        ParamStore::from_values(given.clone(), &Device::Cpu),
    ] {
        let weight = student
            .root()
            .get((2, 3), "weight", Init::XavierUniform)
            .unwrap();
        student
            .root()
            .pp("norm")
            .get(3, "bias", Init::Zeros)
            .unwrap();
        assert_eq!(values(&student), before);
        weight
            .var()
            .set(&weight.var().ones_like().unwrap())
            .unwrap();
        assert_eq!(values(&student)[0], [1.0; 6]);
        assert_eq!(values(&teacher), before);
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let store = store();
    let before = values(&store);
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let mut wrong = HashMap::from([("weight".to_owned(), ones(&[2, 3]))]);
    let error = store.load_tensors(&wrong).unwrap_err();
    assert!(matches!(&error, Error::Missing { names } if names == &["norm.bias"]));
    wrong.insert("norm.bias".to_owned(), ones(&[4]));
    let error = store.load_tensors(&wrong).unwrap_err();
    assert!(matches!(&error, Error::Shape { name, .. } if name == "norm.bias"));
    wrong.insert("norm.bias".to_owned(), ones(&[3]));
    wrong.insert("head".to_owned(), ones(&[1]));
    let error = store.load_tensors(&wrong).unwrap_err();
    assert!(matches!(&error, Error::Unexpected { names } if names == &["head"]));
    assert_eq!(values(&store), before);
}

#[test]
fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(&tensors(&store()), &path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let (read, _) = read_safetensors(&path).unwrap();
    store().load_tensors(&read).unwrap();
    for length in [0, 7, 20, whole.len() - 1] {
        let cut = folder.path().join("cut.safetensors");
        std::fs::write(&cut, &whole[..length]).unwrap();
        let error = read_safetensors(&cut).unwrap_err();
        assert!(matches!(&error, Error::Format { path, .. } if *path == cut));
    }
}

/// A safetensors file of one value 1 in `F32` and, after it, one tensor of a single byte of this type.
fn file_with(dtype: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"weight":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"odd":{{"dtype":"{dtype}","shape":[1],"data_offsets":[4,5]}}}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1f32.to_le_bytes());
    bytes.push(1);
    bytes
}

#[test]
fn a_tensor_of_a_type_that_cannot_be_held_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.safetensors");
    for dtype in ["BOOL", "I8", "F8_E5M2", "F8_E8M0"] {
        std::fs::write(&path, file_with(dtype)).unwrap();
        let error = read_safetensors(&path).unwrap_err();
        assert!(matches!(
            &error,
            Error::FileDType { name, dtype: found, .. } if name == "odd" && found == dtype
        ));
        assert!(error.to_string().contains("odd.safetensors: tensor `odd`"));
        let file = SafetensorsFile::read(&path).unwrap();
        let ones = file.tensors["weight"].to_vec1::<f32>().unwrap();
        assert_eq!((file.tensors.len(), ones), (1, vec![1.0]));
        assert_eq!(file.unsupported["odd"], dtype);
    }
}

#[test]
fn guards_that_overlap_thaw_at_their_end() {
    let store = store();
    let (first, second) = (store.no_grad(), store.no_grad());
    assert!(store.trainable().is_empty());
    drop(first);
    assert!(store.trainable().is_empty());
    assert!(!store.params()[0].tensor().is_variable());
    drop(second);
    assert_eq!(store.trainable().len(), 2);
}

#[test]
fn what_is_set_or_made_while_a_guard_lives_counts_from_its_end() {
    let store = store();
    let guard = store.no_grad();
    store.set_trainable(|name| name == "weight");
    let late = store.root().get(1, "late", Init::Zeros).unwrap();
    assert!(store.trainable().is_empty() && !late.is_trainable());
    drop(guard);
    let names: Vec<String> = store
        .trainable()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["weight", "late"]);
}

#[test]
fn a_store_may_be_asked_while_parameters_are_chosen() {
    let store = store();
    store.set_trainable(|name| store.get(name).is_some_and(|p| p.var().rank() == 2));
    let names: Vec<String> = store
        .trainable()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["weight"]);
}
