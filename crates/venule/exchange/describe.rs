//! What an ONNX file says to its readers of photographs and results.

use std::fmt::Write;

use venule_data::{Channel, Preprocess, Resize};
use venule_onnx::InputSize;

use crate::Checkpoint;

/// How a photograph becomes the file's input, step by step, and what its output means.
pub(super) fn description(checkpoint: &Checkpoint, size: InputSize) -> String {
    let mut steps = vec![
        "Find the field of view: the pixels that show the retina, without the dark border."
            .to_owned(),
    ];
    steps.extend(preparation(&checkpoint.preprocess));
    steps.push("Set every pixel outside the field of view to 0.".to_owned());
    steps.push(match size {
        InputSize::Fixed { height, width, .. } => format!(
            "Bring the image to {height} rows and {width} columns by zeros on the right and at the bottom, or cut a larger one into overlapping tiles of that size."
        ),
        _ => "An image may have any size; cut one above a million pixels into overlapping tiles, such as 768x768 that share 128.".to_owned(),
    });
    let mut text = "Blood vessels in photographs of the retina. Input 'image': (batch, channels, height, width). Outputs 'logits' and 'probability': (batch, 1, height, width).\nA photograph is prepared so:".to_owned();
    for (index, step) in steps.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{}. {step}", index + 1);
    }
    if checkpoint.preprocess.dark_rim > 0.0 {
        text += "\nSet the probability to 0 outside the field of view that is left, before anything is resampled.";
    }
    let calibration = checkpoint.calibration;
    if !calibration.is_identity() {
        let _ = write!(
            text,
            "\nBring the probability p to the photograph's own size by bilinear resampling. Then add {} + {} * c to its logit ln(p / (1 - p)), where c is log2(d / {}) within 0 and 1 and d the diameter in pixels of the field of view at that size, and take the probability of the sum.",
            calibration.offset,
            calibration.per_doubling,
            crate::Calibration::SMALLEST
        );
    }
    let _ = write!(
        text,
        "\nA pixel in the field of view is vessel where its probability is above {}. The metadata hold the same as JSON. This is no medical device.",
        checkpoint.threshold
    );
    text
}

fn preparation(preprocess: &Preprocess) -> Vec<String> {
    let mut steps = vec![
        match preprocess.channel {
            Channel::Green => "Take the green channel, levels 0 to 255.",
            Channel::Gray => "Take 0.299 R + 0.587 G + 0.114 B, levels 0 to 255, not rounded.",
            Channel::Rgb | Channel::NormalizedRgb { .. } => {
                "Take red, green and blue as three channels, levels 0 to 255."
            }
        }
        .to_owned(),
    ];
    match preprocess.resize {
        None => {}
        Some(Resize::Square(side)) => steps.push(format!(
            "Resize image and field of view to {side}x{side} pixels."
        )),
        Some(Resize::FovDiameter(diameter)) => steps.push(format!(
            "Unless the field of view's area is that of a circle {diameter} pixels wide, within 5 % of the width, resize image and field of view so that it is."
        )),
    }
    if preprocess.dark_rim > 0.0 {
        steps.push(format!(
            "Leave out the dark rim, unless the field of view fills the frame: count rings one pixel wide from the border of the field of view inwards, by the distance to the nearest pixel outside it, rounded up. With d the diameter of a circle of the field of view's area, w = 0.02 d rounded up, and v the larger of 0.03 d rounded up and w + 2, take the mean level, over all channels, of the rings w + 1 to v. From here on the field of view is without the first rings whose mean level is below {} of that; if these are more than w rings, it stays as it is.",
            preprocess.dark_rim
        ));
    }
    if let Some(side) = preprocess.wiener {
        steps.push(format!(
            "Apply a Wiener filter with a window of {side}x{side} pixels."
        ));
    }
    if let Some(clahe) = &preprocess.clahe {
        steps.push(format!(
            "Apply contrast-limited adaptive histogram equalisation ({clahe:?}) to the whole frame, rounded to 8 bits."
        ));
    }
    steps.push(match preprocess.channel {
        Channel::NormalizedRgb { mean, deviation } => format!(
            "Make of each level x of a channel (x / 255 - mean) / deviation, with means {mean:?} and deviations {deviation:?}."
        ),
        _ if preprocess.standardize => {
            "Shift and scale each channel to mean 0 and standard deviation 1 over the pixels in the field of view.".to_owned()
        }
        _ => "Divide by 255.".to_owned(),
    });
    steps
}
