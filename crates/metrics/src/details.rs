//! What a report shows besides the values of metrics.

use crate::width::{add_classes, width_classes};
use crate::{Calibration, Comparison, Confusion, Result, WidthClass};

/// The counts that a report shows besides the values of metrics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Details {
    pub(crate) confusion: Confusion,
    pub(crate) at_half: Confusion,
    pub(crate) widths: Vec<WidthClass>,
    pub(crate) calibration: Calibration,
}

impl Details {
    pub(crate) fn none() -> Result<Self> {
        Ok(Self {
            confusion: Confusion::default(),
            at_half: Confusion::default(),
            widths: width_classes(&WidthClass::BOUNDS)?,
            calibration: Calibration::new(Calibration::BINS)?,
        })
    }

    pub(crate) fn of(image: &Comparison<'_>) -> Result<Self> {
        let pixels = image.image();
        Ok(Self {
            calibration: image.calibration()?.clone(),
            confusion: image.confusion(),
            at_half: Confusion::from_scores(
                pixels.scores(),
                pixels.targets(),
                pixels.valid(),
                0.5,
            )?,
            widths: image.width_recall(&WidthClass::BOUNDS)?,
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.confusion.merge(&other.confusion);
        self.at_half.merge(&other.at_half);
        add_classes(&mut self.widths, &other.widths);
        self.calibration.add(&other.calibration);
    }
}
