use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::VarBuilder;

use crate::var_builder::var_builder;
use crate::{Error, Init, Result};

/// One named, shared parameter of a model.
#[derive(Clone, Debug)]
pub struct Param {
    name: Arc<str>,
    var: Var,
    trainable: Arc<AtomicBool>,
    /// Guards that keep the whole store frozen, counted since those of several threads overlap in any order.
    guards: Arc<AtomicUsize>,
    decays: bool,
}

impl Param {
    /// The value for a forward pass: part of the gradient graph while the parameter is trainable, detached while frozen
    /// (so that a frozen part of a model builds no graph at all).
    pub fn tensor(&self) -> Tensor {
        if self.is_trainable() {
            self.var.as_tensor().clone()
        } else {
            self.var.as_detached_tensor()
        }
    }

    /// The variable itself, for optimizers.
    pub fn var(&self) -> &Var {
        &self.var
    }

    /// Full name, as in a checkpoint.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether weight decay should pull it to 0: true for matrices and kernels, false for vectors such as biases and norm weights
    /// (rank 1 or 0), and for what a layer asked for by [`Params::get_undecayed`].
    pub fn decays(&self) -> bool {
        self.decays
    }

    /// Whether gradients are wanted: never while a guard of [`ParamStore::no_grad`] lives.
    pub fn is_trainable(&self) -> bool {
        self.guards.load(Ordering::Relaxed) == 0 && self.trainable.load(Ordering::Relaxed)
    }

    /// Freezes (`false`) or thaws (`true`) this parameter in every layer that shares it. While a guard of
    /// [`ParamStore::no_grad`] lives, it stays frozen, and what was set counts from the guard's end.
    pub fn set_trainable(&self, trainable: bool) {
        self.trainable.store(trainable, Ordering::Relaxed);
    }
}

struct Inner {
    /// Whether `values` are all there is.
    complete: bool,
    seed: u64,
    dtype: DType,
    device: Device,
    guards: Arc<AtomicUsize>,
    values: HashMap<String, Tensor>,
    initialised: Vec<String>,
    order: Vec<Param>,
    index: HashMap<String, usize>,
}

/// An ordered, seeded store of parameters.
///
/// Names come in the order in which layers ask for them; a new parameter's value depends only on (seed, name, shape).
/// Cloning shares the store.
///
/// ```
/// use candle_core::Device;
/// use venule_nn::{Init, ParamStore};
/// let store = ParamStore::new(42, &Device::Cpu);
/// let weight = store.root().pp("head").get((2, 3), "weight", Init::XavierUniform)?;
/// assert_eq!(weight.name(), "head.weight");
/// assert_eq!(store.element_count(), 6);
/// # Ok::<(), venule_nn::Error>(())
/// ```
#[derive(Clone)]
pub struct ParamStore(Arc<Mutex<Inner>>);

impl ParamStore {
    /// An empty store of `f32` parameters.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self::build(seed, DType::F32, device, HashMap::new())
    }

    /// An empty store with another floating-point type (`f64` for gradient checks).
    ///
    /// # Errors
    /// [`Error::DType`] unless `dtype` is `F32` or `F64`.
    pub fn with_dtype(seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        match dtype {
            DType::F32 | DType::F64 => Ok(Self::build(seed, dtype, device, HashMap::new())),
            dtype => Err(Error::DType { dtype }),
        }
    }

    /// A store whose parameters take their first value from `values`, by full name, as a copy; names not found there are
    /// initialised. [`ParamStore::initialised_names`] and [`ParamStore::unused_values`] then tell what did not match.
    pub fn with_values(values: HashMap<String, Tensor>, seed: u64, device: &Device) -> Self {
        Self::build(seed, DType::F32, device, values)
    }

    /// A store of copies of `values` alone: a layer that asks for another name gets [`Error::Missing`] before anything is
    /// allocated, so that a file cannot ask for more memory than it fills. [`ParamStore::unused_values`] then tells what no layer
    /// asked for.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use candle_core::Device;
    /// use venule_nn::{Error, Init, ParamStore};
    /// let store = ParamStore::from_values(HashMap::new(), &Device::Cpu);
    /// let asked = store.root().get((1 << 20, 1 << 20), "weight", Init::XavierUniform);
    /// assert!(matches!(asked, Err(Error::Missing { .. })));
    /// ```
    pub fn from_values(values: HashMap<String, Tensor>, device: &Device) -> Self {
        let store = Self::build(0, DType::F32, device, values);
        store.lock().complete = true;
        store
    }

    fn build(seed: u64, dtype: DType, device: &Device, values: HashMap<String, Tensor>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            complete: false,
            seed,
            dtype,
            device: device.clone(),
            guards: Arc::default(),
            values,
            initialised: Vec::new(),
            order: Vec::new(),
            index: HashMap::new(),
        })))
    }

    /// The shape of the parameter of this full name, or of the given value that waits for a layer.
    pub(crate) fn shape_of(&self, name: &str) -> Option<Shape> {
        let inner = self.lock();
        let made = inner
            .index
            .get(name)
            .map(|&i| inner.order[i].var().as_tensor());
        let found = made.or_else(|| inner.values.get(name));
        found.map(|tensor| tensor.shape().clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The data stay whole when a holder panics: every change is a single push or swap.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The empty prefix of this store, from which layers take their parameters.
    pub fn root(&self) -> Params {
        Params {
            store: self.clone(),
            prefix: String::new(),
        }
    }

    /// All parameters in order of creation.
    pub fn params(&self) -> Vec<Param> {
        self.lock().order.clone()
    }

    /// The trainable parameters as (name, variable), in order of creation.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        let inner = self.lock();
        let wanted = inner.order.iter().filter(|param| param.is_trainable());
        wanted
            .map(|param| (param.name().to_owned(), param.var().clone()))
            .collect()
    }

    /// The parameter of this full name.
    pub fn get(&self, name: &str) -> Option<Param> {
        let inner = self.lock();
        inner.index.get(name).map(|&i| inner.order[i].clone())
    }

    /// Number of scalars in all parameters.
    pub fn element_count(&self) -> usize {
        let inner = self.lock();
        inner.order.iter().map(|p| p.var().elem_count()).sum()
    }

    /// Sets which parameters are trainable, by full name, as [`Param::set_trainable`] does.
    pub fn set_trainable(&self, mut trainable: impl FnMut(&str) -> bool) {
        // Not under the lock: `trainable` may ask this store.
        for param in &self.params() {
            param.set_trainable(trainable(param.name()));
        }
    }

    /// Freezes everything, parameters yet to be made included, until the guard is dropped, for validation: forward passes then
    /// build no graph. Guards may overlap, of several threads too: the store stays frozen until the last is dropped.
    ///
    /// ```
    /// # use candle_core::Device;
    /// # use venule_nn::{Init, ParamStore};
    /// let store = ParamStore::new(42, &Device::Cpu);
    /// let weight = store.root().get(3, "weight", Init::Ones)?;
    /// let guard = store.no_grad();
    /// assert!(!weight.is_trainable());
    /// drop(guard);
    /// assert!(weight.is_trainable());
    /// # Ok::<(), venule_nn::Error>(())
    /// ```
    pub fn no_grad(&self) -> NoGrad {
        let guards = self.lock().guards.clone();
        guards.fetch_add(1, Ordering::Relaxed);
        NoGrad(guards)
    }

    /// Names given to [`ParamStore::with_values`] that no layer has asked for, sorted.
    pub fn unused_values(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lock().values.keys().cloned().collect();
        names.sort();
        names
    }

    /// Names of the parameters that were initialised, not found among given values, in order of creation.
    pub fn initialised_names(&self) -> Vec<String> {
        self.lock().initialised.clone()
    }

    /// All current values by name, detached, in order of creation. They share memory with the parameters: training changes them.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let inner = self.lock();
        let pairs = inner.order.iter();
        pairs
            .map(|p| (p.name().to_owned(), p.var().as_detached_tensor()))
            .collect()
    }

    /// Replaces every parameter's value by the tensor of its name, all or nothing.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Unexpected`] or [`Error::Shape`] when the names or shapes are not exactly the store's;
    /// nothing is changed then.
    pub fn load_tensors(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let inner = self.lock();
        let absent = |p: &&Param| !tensors.contains_key(p.name());
        let names = |p: &Param| p.name().to_owned();
        let missing: Vec<String> = inner.order.iter().filter(absent).map(names).collect();
        if !missing.is_empty() {
            return Err(Error::Missing { names: missing });
        }
        let mut unexpected: Vec<String> = tensors
            .keys()
            .filter(|name| !inner.index.contains_key(*name))
            .cloned()
            .collect();
        if !unexpected.is_empty() {
            unexpected.sort();
            return Err(Error::Unexpected { names: unexpected });
        }
        let mut converted = Vec::with_capacity(inner.order.len());
        for param in &inner.order {
            let tensor = &tensors[param.name()];
            if tensor.shape() != param.var().shape() {
                return Err(Error::Shape {
                    name: param.name().to_owned(),
                    expected: param.var().shape().clone(),
                    found: tensor.shape().clone(),
                });
            }
            // A copy: a variable takes no tensor that shares its memory, as one of this store's own does.
            converted.push(
                tensor
                    .to_dtype(inner.dtype)?
                    .to_device(&inner.device)?
                    .copy()?,
            );
        }
        for (param, tensor) in inner.order.iter().zip(&converted) {
            param.var().set(tensor)?;
        }
        Ok(())
    }
}

/// Keeps a store frozen until it and all others of the store are dropped. Made by [`ParamStore::no_grad`].
#[must_use = "the store is frozen only while the guard lives"]
pub struct NoGrad(Arc<AtomicUsize>);

impl Drop for NoGrad {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place in a [`ParamStore`] under a dotted prefix, from which a layer takes its parameters.
#[derive(Clone)]
pub struct Params {
    store: ParamStore,
    prefix: String,
}

impl Params {
    /// The place one level down: `pp("blocks").pp(0)` is `blocks.0`.
    pub fn pp(&self, name: impl Display) -> Self {
        Self {
            store: self.store.clone(),
            prefix: self.full(&name.to_string()),
        }
    }

    /// The parameter `name` here, made on the first call and shared by later ones.
    ///
    /// # Errors
    /// [`Error::Shape`] if the store or its given values hold that name in another shape; [`Error::Missing`] if the store takes its
    /// values from a file alone ([`ParamStore::from_values`]), which lacks it.
    pub fn get(&self, shape: impl Into<Shape>, name: &str, init: Init) -> Result<Param> {
        let shape = shape.into();
        let decays = shape.rank() > 1;
        self.take(shape, name, init, decays)
    }

    /// As [`Params::get`], for a parameter that weight decay leaves alone whatever its rank: tokens and position embeddings, as in
    /// the fine-tuning code of the MAE paper (He et al. 2022). The first call for a name decides.
    ///
    /// ```
    /// # use candle_core::Device;
    /// # use venule_nn::{Init, ParamStore};
    /// let params = ParamStore::new(42, &Device::Cpu).root();
    /// assert!(params.get((4, 4), "weight", Init::HeNormal)?.decays());
    /// assert!(!params.get(4, "bias", Init::Zeros)?.decays());
    /// let token = params.get_undecayed((1, 1, 4), "cls_token", Init::TruncatedNormal(0.02))?;
    /// assert!(!token.decays());
    /// # Ok::<(), venule_nn::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn get_undecayed(&self, shape: impl Into<Shape>, name: &str, init: Init) -> Result<Param> {
        self.take(shape.into(), name, init, false)
    }

    fn take(&self, shape: Shape, name: &str, init: Init, decays: bool) -> Result<Param> {
        let name = self.full(name);
        let inner = &mut *self.store.lock();
        let check = |found: &Shape| {
            if *found == shape {
                return Ok(());
            }
            Err(Error::Shape {
                name: name.clone(),
                expected: shape.clone(),
                found: found.clone(),
            })
        };
        if let Some(&i) = inner.index.get(&name) {
            check(inner.order[i].var().shape())?;
            return Ok(inner.order[i].clone());
        }
        let tensor = match inner.values.get(&name) {
            Some(value) => {
                check(value.shape())?;
                value.to_dtype(inner.dtype)?.to_device(&inner.device)?
            }
            None if inner.complete => return Err(Error::Missing { names: vec![name] }),
            None => {
                inner.initialised.push(name.clone());
                let values = init.values(&shape, &name, inner.seed);
                Tensor::from_vec(values, &shape, &inner.device)?.to_dtype(inner.dtype)?
            }
        };
        inner.values.remove(&name);
        let param = Param {
            name: name.as_str().into(),
            // Detached, since candle would take a variable, such as another store's, as it is and not copy it.
            var: Var::from_tensor(&tensor.detach())?,
            trainable: Arc::new(AtomicBool::new(true)),
            guards: inner.guards.clone(),
            decays,
        };
        let place = inner.order.len();
        inner.order.push(param.clone());
        inner.index.insert(name, place);
        Ok(param)
    }

    /// The parameters that have been asked for here and below, in order of creation.
    pub fn taken(&self) -> Vec<Param> {
        let below = self.full("");
        let inner = self.store.lock();
        let params = inner.order.iter();
        params
            .filter(|param| param.name().starts_with(&below))
            .cloned()
            .collect()
    }

    /// Device of the store.
    pub fn device(&self) -> Device {
        self.store.lock().device.clone()
    }

    /// Floating-point type of the store.
    pub fn dtype(&self) -> DType {
        self.store.lock().dtype
    }

    /// The same place for layers of `candle_nn`: what they ask for are parameters of this store, with its seed, order and names.
    ///
    /// The random first values of `candle_nn::Init` are drawn in `f32`, keyed by (seed, name) as those of [`Init`]. Errors of the
    /// store ([`Error::Shape`], [`Error::Missing`]) come as candle errors with their text. Types and devices other than the store's
    /// are refused.
    ///
    /// A candle layer holds the variable itself, where a layer of this crate asks [`Param::tensor`] in each pass. So a frozen candle
    /// layer still builds a gradient graph, and takes the memory for it; the optimizer leaves its variables alone all the same.
    /// `candle_nn::Sequential` is not `Send`: an [`Encoder`](crate::Encoder) keeps its layers in fields.
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use candle_nn::{Conv2dConfig, conv2d, group_norm, seq};
    /// use venule_nn::{Conv1x1, ParamStore};
    /// let store = ParamStore::new(42, &Device::Cpu);
    /// let vb = store.root().pp("encoder").var_builder();
    /// let same = Conv2dConfig { padding: 1, ..Default::default() };
    /// let block = seq()
    ///     .add(conv2d(1, 8, 3, same, vb.pp("conv"))?)
    ///     .add(group_norm(4, 8, 1e-5, vb.pp("norm"))?)
    ///     .add(Conv1x1::new(8, 2, true, &store.root().pp("encoder.head"))?);
    /// let images = Tensor::zeros((1, 1, 6, 5), DType::F32, &Device::Cpu)?;
    /// assert_eq!(images.apply(&block)?.dims(), [1, 2, 6, 5]);
    /// assert_eq!(store.params()[0].name(), "encoder.conv.weight");
    /// # Ok::<(), venule_nn::Error>(())
    /// ```
    pub fn var_builder(&self) -> VarBuilder<'static> {
        var_builder(&self.store, &self.prefix)
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}
