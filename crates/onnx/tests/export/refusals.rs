//! What cannot be written is refused.

use candle_core::Device;
use venule_mae::VitConfig;
use venule_nn::{Init, ParamStore};
use venule_onnx::{DecoderSettings, EncoderSettings, Error, Export, InputSize};
use venule_seg::{MultiScaleConfig, ProgressiveConfig};

use crate::networks::networks;

#[test]
fn settings_of_another_model_are_refused() {
    let networks = networks();
    let unet = &networks[0];
    let other = DecoderSettings::MultiScale(MultiScaleConfig::compact());
    let error = Export::new(EncoderSettings::None, other, &unet.store).to_bytes();
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("'decoder.detail1.conv1.weight' is of shape [8, 1, 3, 3]"),
        "{message}"
    );

    let vit = EncoderSettings::Vit(VitConfig::tiny());
    let error = Export::new(vit, unet.decoder.clone(), &unet.store).to_bytes();
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("'encoder.patch_embed.proj.weight' is missing"),
        "{message}"
    );

    let progressive = DecoderSettings::Progressive(ProgressiveConfig::tiny());
    let error = Export::new(EncoderSettings::None, progressive, &unet.store).to_bytes();
    assert!(matches!(error, Err(Error::Parts { maps: 0 })));
}

#[test]
fn a_variable_without_a_place_is_refused() {
    let networks = networks();
    let unet = &networks[0];
    // Heads of deep supervision are of training alone; anything else would be left out in silence.
    assert!(unet.store.get("decoder.deep4.weight").is_some());
    unet.store
        .root()
        .pp("decoder.extra")
        .get(2, "bias", Init::Zeros)
        .unwrap();
    let error = unet.export().to_bytes().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 of the model's variables ('decoder.extra.bias'"),
        "{error}"
    );
}

#[test]
fn sizes_are_checked() {
    for (height, width) in [
        (0, 80),
        (80, 0),
        (15, 80),
        (1 << 14, 1 << 14),
        (usize::MAX, 20),
    ] {
        assert!(matches!(
            InputSize::fixed(height, width),
            Err(Error::Size { .. })
        ));
    }
    for text in ["", "12", "x", "12x", "0x5", "-3x5", "Dynamic", "8x8x8"] {
        let error = text.parse::<InputSize>().unwrap_err().to_string();
        assert!(
            error.contains(text) && (error.contains("pixels") || error.contains("584x565")),
            "{error}"
        );
    }
}

#[test]
fn equal_models_give_equal_bytes() {
    let (a, b) = (networks(), networks());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(
            a.export().to_bytes().unwrap(),
            b.export().to_bytes().unwrap(),
            "{}",
            a.name
        );
    }
    let store = ParamStore::new(9, &Device::Cpu);
    assert!(
        Export::new(EncoderSettings::None, a[0].decoder.clone(), &store)
            .to_bytes()
            .is_err()
    );
}
