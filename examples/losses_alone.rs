//! The losses alone, without anything else of venule: the reference's mix on a toy map, with its terms and its gradient.

use candle_core::{Device, Tensor, Var};
use venule_loss::{Composite, Loss, PreparedTarget, Tversky};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::Cpu;
    // One vertical vessel, one pixel wide.
    let target = Tensor::from_vec(
        (0..64)
            .map(|i| f32::from(u8::from(i % 8 == 3)))
            .collect::<Vec<_>>(),
        (1, 1, 8, 8),
        &device,
    )?;
    let logits = Var::zeros((1, 1, 8, 8), candle_core::DType::F32, &device)?;
    let (loss, terms) = Composite::preset("reference")?
        .forward_with_terms(&logits, &PreparedTarget::new(&target, None))?;
    println!("composite {:.4}", loss.to_scalar::<f32>()?);
    for (name, value) in terms {
        println!("  {name:10} {value:.4}");
    }
    let gradient = loss.backward()?;
    if let Some(gradient) = gradient.get(logits.as_tensor()) {
        println!(
            "gradient, first row: {:.4?}",
            gradient.get(0)?.get(0)?.get(0)?.to_vec1::<f32>()?
        );
    }
    let tversky = Tversky::default().forward(logits.as_tensor(), &target, None)?;
    println!("Tversky loss alone: {:.4}", tversky.to_scalar::<f32>()?);
    Ok(())
}
