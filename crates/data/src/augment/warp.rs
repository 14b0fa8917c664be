use super::elastic::Displacement;
use crate::{Mask, Plane, Planes, Prepared, Raster, Result};

/// An affine map from the crop to its source, both in continuous pixel coordinates (pixel k covers k..k+1): an offset
/// from the crop's middle goes to `matrix` times it, plus `centre`.
pub(super) struct View {
    centre: (f32, f32),
    matrix: [[f32; 2]; 2],
}

impl View {
    /// Rotation after shear after scale after flip; `angle` in radians, `shear` as tangents, `flip` of ±1.
    pub(super) fn new(
        centre: (f32, f32),
        angle: f32,
        scale: f32,
        shear: (f32, f32),
        flip: (f32, f32),
    ) -> Self {
        let (sin, cos) = angle.sin_cos();
        let column = |x: f32, y: f32, factor: f32| {
            [(cos * x - sin * y) * factor, (sin * x + cos * y) * factor]
        };
        let first = column(1.0, shear.1, scale * flip.0);
        let second = column(shear.0, 1.0, scale * flip.1);
        Self {
            centre,
            matrix: [[first[0], second[0]], [first[1], second[1]]],
        }
    }
}

/// Samples every map of `prepared` once, along one map.
pub(super) fn warp(
    prepared: &Prepared,
    crop: (usize, usize),
    view: &View,
    displacement: Option<&Displacement>,
) -> Result<Prepared> {
    let (width, height) = crop;
    let (source_width, source_height) = prepared.size();
    let mut image = Planes::filled_like(&prepared.image, crop, 0.0);
    let mut fov = Raster::filled(width, height, false);
    let mut label = prepared
        .label
        .as_ref()
        .map(|source| (source, Mask::filled(width, height, false)));
    let mut weights = prepared
        .weights
        .as_ref()
        .map(|source| (source, Plane::filled(width, height, 0.0)));
    let mut points = vec![(0.0f32, 0.0f32); width];
    // The first channel by itself: of most images it is the only one.
    let (source_image, source_fov) = (prepared.image.channel(0), prepared.fov.data());
    let [[xx, xy], [yx, yy]] = view.matrix;
    for j in 0..height {
        let v = j as f32 + 0.5 - height as f32 / 2.0;
        let start = (view.centre.0 + xy * v, view.centre.1 + yy * v);
        // The points first, so that the loop below has room for what it needs in registers.
        for (i, point) in points.iter_mut().enumerate() {
            let u = i as f32 + 0.5 - width as f32 / 2.0;
            *point = (start.0 + xx * u, start.1 + yx * u);
        }
        if let Some(field) = displacement {
            let row = field.row(j);
            for (i, point) in points.iter_mut().enumerate() {
                let (dx, dy) = field.at(&row, i);
                *point = (point.0 + dx, point.1 + dy);
            }
        }
        let span = j * width..(j + 1) * width;
        let mut channels = image.each_mut().map(|channel| &mut channel[span.clone()]);
        let Some(image_row) = channels.next() else {
            continue;
        };
        let others = prepared.image.each().skip(1);
        let mut other_rows: Vec<(&[f32], &mut [f32])> = others.zip(channels).collect();
        let fov_row = &mut fov.data_mut()[span.clone()];
        let mut label_row = label
            .as_mut()
            .map(|(source, out)| (source.data(), &mut out.data_mut()[span.clone()]));
        let mut weights_row = weights
            .as_mut()
            .map(|(source, out)| (source.data(), &mut out.data_mut()[span.clone()]));
        for (i, &(x, y)) in points.iter().enumerate() {
            // Truncation takes -0.9 to 0, so the sign is asked first; i32, as it converts in one instruction.
            if x < 0.0 || y < 0.0 {
                continue;
            }
            let (column, row) = (x as i32, y as i32);
            if column as usize >= source_width || row as usize >= source_height {
                continue;
            }
            let from = row as usize * source_width + column as usize;
            if !source_fov[from] {
                continue;
            }
            fov_row[i] = true;
            let taps = Bilinear::new((x, y), (column, row));
            image_row[i] = taps.sample(source_image, prepared.size());
            for (source, out) in &mut other_rows {
                out[i] = taps.sample(source, prepared.size());
            }
            if let Some((source, out)) = &mut label_row {
                out[i] = source[from];
            }
            if let Some((source, out)) = &mut weights_row {
                out[i] = taps.sample(source, prepared.size());
            }
        }
    }
    Ok(Prepared {
        id: prepared.id.clone(),
        image,
        label: label.map(|(_, out)| out),
        fov,
        weights: weights.map(|(_, out)| out),
    })
}

/// The four pixels around a point that lies inside the frame.
struct Bilinear {
    /// Column and row of the first pixel, which may be -1.
    first: (i32, i32),
    /// Shares of the second column and row.
    share: (f32, f32),
}

impl Bilinear {
    /// Around a point in the given column and row.
    fn new((x, y): (f32, f32), (column, row): (i32, i32)) -> Self {
        // In the first half of a pixel the one before it has its share.
        let (across, down) = (x - column as f32 - 0.5, y - row as f32 - 0.5);
        let before = |share: f32| (i32::from(share < 0.0), if share < 0.0 { 1.0 } else { 0.0 });
        let ((left, one_across), (up, one_down)) = (before(across), before(down));
        Self {
            first: (column - left, row - up),
            share: (across + one_across, down + one_down),
        }
    }

    /// The value of a plane of this (width, height) at the point. Inlined: it is most of what a view costs.
    #[inline(always)]
    fn sample(&self, plane: &[f32], (width, height): (usize, usize)) -> f32 {
        let (left, top) = self.first;
        let (across, down) = self.share;
        // As unsigned numbers, -1 is too large as well.
        if left as usize >= width - 1 || top as usize >= height - 1 {
            return self.sample_at_the_rim(plane, (width, height));
        }
        let at = top as usize * width + left as usize;
        let taps = &plane[at..at + width + 2];
        let upper = mix(taps[0], taps[1], across);
        mix(upper, mix(taps[width], taps[width + 1], across), down)
    }

    /// Pixels beyond the frame count as 0, as in PyTorch's `grid_sample(padding_mode="zeros")`.
    #[cold]
    fn sample_at_the_rim(&self, plane: &[f32], (width, height): (usize, usize)) -> f32 {
        let (left, top) = self.first;
        let (across, down) = self.share;
        let pixel = |dx: i32, dy: i32| {
            let (x, y) = (left + dx, top + dy);
            match x >= 0 && y >= 0 && (x as usize) < width && (y as usize) < height {
                true => plane[y as usize * width + x as usize],
                false => 0.0,
            }
        };
        let upper = mix(pixel(0, 0), pixel(1, 0), across);
        mix(upper, mix(pixel(0, 1), pixel(1, 1), across), down)
    }
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(bytes: &[u8]) -> Vec<f32> {
        let words = bytes.chunks_exact(4);
        words
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }

    /// The fixtures of `make_filters.py`: rotation by 30 degrees, scale 1.25, shift, sampled by PyTorch.
    #[test]
    fn a_turned_view_equals_grid_sample() {
        let png = include_bytes!("../../tests/fixtures/small.png");
        let photo = image::load_from_memory(png).unwrap().to_luma8();
        let source =
            Plane::new(41, 37, photo.pixels().map(|p| f32::from(p.0[0])).collect()).unwrap();
        let prepared = Prepared {
            id: String::new(),
            label: Some(source.map(|&v| v > 100.0)),
            fov: Mask::filled(41, 37, true),
            weights: Some(source.clone()),
            image: source.into(),
        };
        let centre = (20.5 * 1.2, 18.5 * 0.7);
        let view = View::new(centre, 30f32.to_radians(), 1.25, (0.0, 0.0), (1.0, 1.0));
        let out = warp(&prepared, (20, 20), &view, None).unwrap();
        let bilinear = floats(include_bytes!(
            "../../tests/fixtures/affine_bilinear_20x20.f32"
        ));
        let nearest = floats(include_bytes!(
            "../../tests/fixtures/affine_nearest_20x20.f32"
        ));
        assert!(
            out.fov.count() > 300,
            "{} of 400 pixels inside",
            out.fov.count()
        );
        let label = out.label.unwrap();
        for at in 0..400 {
            if out.fov.data()[at] {
                let found = out.image.data()[at];
                assert!(
                    (found - bilinear[at]).abs() < 2e-3,
                    "pixel {at}: {found} {}",
                    bilinear[at]
                );
                assert_eq!(label.data()[at], nearest[at] > 100.0, "pixel {at}");
            } else {
                assert_eq!(
                    (nearest[at], out.image.data()[at]),
                    (0.0, 0.0),
                    "pixel {at}"
                );
            }
        }
        assert_eq!(out.weights.unwrap().data(), out.image.data());
    }
}
