use crate::scored_image::check_dimensions;
use crate::{Error, Result};

/// The skeleton of a mask: vessels thinned to centre lines one pixel wide, connectivity kept.
///
/// Parallel thinning of Zhang & Suen (1984, "A fast parallel algorithm for thinning digital patterns") with the
/// corner cases decided as scikit-image does: the result equals its `skeletonize` (2-D default) pixel for pixel.
/// Pixels outside the image are background.
///
/// After the first pass over the image only pixels with a changed neighbourhood are looked at again, so the
/// time grows with the vessels' area, not with the image's area times the widest vessel.
///
/// ```
/// use venule_metrics::skeletonize;
/// let bar = [
///     1, 1, 1, 1, 1, 1, 1,
///     1, 1, 1, 1, 1, 1, 1,
///     1, 1, 1, 1, 1, 1, 1,
/// ].map(|v| v == 1);
/// let line = [ // the same spur at the corner as in scikit-image
///     0, 0, 0, 0, 0, 1, 0,
///     1, 1, 1, 1, 1, 0, 0,
///     0, 0, 0, 0, 0, 0, 0,
/// ].map(|v| v == 1);
/// assert_eq!(skeletonize(&bar, 7, 3)?, line);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// If `mask` has not `width * height` values, or there are more than 2³² of them.
pub fn skeletonize(mask: &[bool], width: usize, height: usize) -> Result<Vec<bool>> {
    check_dimensions(width, height, mask.len())?;
    if mask.is_empty() {
        return Ok(Vec::new());
    }
    let padded = width
        .checked_add(2)
        .and_then(|w| w.checked_mul(height.checked_add(2)?));
    if padded.is_none_or(|cells| cells > u32::MAX as usize) {
        return Err(Error::ImageTooLarge {
            width,
            height,
            what: "thinning",
        });
    }
    // A border of background spares every bounds question below.
    let stride = width + 2;
    let mut alive = vec![0u8; stride * (height + 2)];
    for (row, mask) in alive[stride..]
        .chunks_exact_mut(stride)
        .zip(mask.chunks_exact(width))
    {
        row[1..=width]
            .iter_mut()
            .zip(mask)
            .for_each(|(cell, &m)| *cell = u8::from(m));
    }
    thin(&mut alive, stride);
    let rows = alive[stride..].chunks_exact(stride).take(height);
    Ok(rows
        .flat_map(|row| row[1..=width].iter().map(|&cell| cell == 1))
        .collect())
}

/// Thins `alive` (1 = vessel) in place; its outermost cells are background.
fn thin(alive: &mut [u8], stride: usize) {
    // Cell offsets of the ring, clockwise from north: ring code bit k is the neighbour at offset k.
    let offsets: [isize; 8] = {
        let s = stride as isize;
        [-s, 1 - s, 1, 1 + s, s, s - 1, -1, -1 - s]
    };
    let mut codes = ring_codes(alive, stride);
    let mut queued = vec![false; alive.len()];
    // Pixels that may have to go in the coming pass.
    let mut candidates: Vec<u32> = Vec::new();
    for (cell, (&alive, &code)) in alive.iter().zip(&codes).enumerate() {
        if alive == 1 && REMOVABLE[usize::from(code)] != 0 {
            candidates.push(cell as u32);
            queued[cell] = true;
        }
    }
    let (mut removed, mut next) = (Vec::new(), Vec::new());
    let mut pass = FIRST;
    while !candidates.is_empty() {
        // Decide on the state before the pass, then change it: the passes are parallel.
        for cell in candidates.drain(..) {
            let index = cell as usize;
            queued[index] = false;
            let removable = REMOVABLE[usize::from(codes[index])];
            if removable & pass != 0 {
                removed.push(cell);
            } else if removable != 0 {
                next.push(cell);
                queued[index] = true;
            }
        }
        for &cell in &removed {
            alive[cell as usize] = 0;
        }
        for cell in removed.drain(..) {
            for (bit, &offset) in offsets.iter().enumerate() {
                let neighbour = (cell as usize).wrapping_add_signed(offset);
                // Seen from the neighbour, this cell lies on the opposite side of the ring.
                codes[neighbour] &= !(1 << ((bit + 4) % 8));
                if alive[neighbour] == 1 && !queued[neighbour] {
                    queued[neighbour] = true;
                    next.push(neighbour as u32);
                }
            }
        }
        std::mem::swap(&mut candidates, &mut next);
        pass ^= FIRST | SECOND;
    }
}

/// For every inner cell the bit set of its vessel neighbours, clockwise from north = bit 0.
fn ring_codes(alive: &[u8], stride: usize) -> Vec<u8> {
    let mut codes = vec![0u8; alive.len()];
    for (y, codes) in codes.chunks_exact_mut(stride).enumerate().skip(1) {
        let Some(below) = alive.get((y + 1) * stride..(y + 2) * stride) else {
            break;
        };
        let (above, here) = (
            &alive[(y - 1) * stride..y * stride],
            &alive[y * stride..(y + 1) * stride],
        );
        let inner = stride - 2;
        let codes = &mut codes[1..=inner];
        // One slice per neighbour, all of the same length, so that the loop vectorises.
        let (nw, n, ne) = (&above[..inner], &above[1..=inner], &above[2..]);
        let (w, e) = (&here[..inner], &here[2..]);
        let (sw, s, se) = (&below[..inner], &below[1..=inner], &below[2..]);
        for x in 0..inner {
            codes[x] = n[x]
                | ne[x] << 1
                | e[x] << 2
                | se[x] << 3
                | s[x] << 4
                | sw[x] << 5
                | w[x] << 6
                | nw[x] << 7;
        }
    }
    codes
}

/// Flag of the pass that peels from the south-east.
const FIRST: u8 = 1;
/// Flag of the pass that peels from the north-west.
const SECOND: u8 = 2;

/// For every ring code the passes in which a pixel with such neighbours is removed.
const REMOVABLE: [u8; 256] = removable();

const fn removable() -> [u8; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = zhang_suen(code as u8);
        code += 1;
    }
    // Where scikit-image departs from the paper's conditions. It removes the corner of a one-pixel staircase,
    // and takes the ends of two-pixel-wide lines from one side only, so that such lines do not vanish.
    table = set(
        table,
        &[0b00000101, 0b00010100, 0b01000001, 0b01010000],
        FIRST | SECOND,
    );
    table = set(
        table,
        &[0b10000101, 0b01000011, 0b11010000, 0b01100001, 0b01100011],
        FIRST,
    );
    table = set(
        table,
        &[0b10000001, 0b00000011, 0b00000110, 0b00000111, 0b11000001],
        FIRST,
    );
    table = set(
        table,
        &[0b00001101, 0b00110100, 0b00110110, 0b01011000],
        SECOND,
    );
    table = set(
        table,
        &[0b00001100, 0b00011100, 0b00110000, 0b01100000, 0b01110000],
        SECOND,
    );
    set(table, &[0b00011000, 0b11000000], 0)
}

const fn set(mut table: [u8; 256], codes: &[u8], passes: u8) -> [u8; 256] {
    let mut index = 0;
    while index < codes.len() {
        table[codes[index] as usize] = passes;
        index += 1;
    }
    table
}

/// The conditions of the paper: 2 to 6 neighbours, one change from background to vessel around the ring, and in
/// the first pass a gap among N, E, S and among E, S, W, in the second among N, E, W and among N, S, W.
const fn zhang_suen(code: u8) -> u8 {
    let neighbours = code.count_ones();
    let rises = (!code & code.rotate_right(1)).count_ones();
    if neighbours < 2 || neighbours > 6 || rises != 1 {
        return 0;
    }
    let (n, e, s, w) = (1, 1 << 2, 1 << 4, 1 << 6);
    let first = code & (n | e | s) != n | e | s && code & (e | s | w) != e | s | w;
    let second = code & (n | e | w) != n | e | w && code & (n | s | w) != n | s | w;
    (if first { FIRST } else { 0 }) | (if second { SECOND } else { 0 })
}
