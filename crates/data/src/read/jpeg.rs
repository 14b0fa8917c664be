/// Where each picture of a file begins: cameras write several one after the other, a stereo pair or a depth map (CIPA DC-007).
///
/// At most 1000 are counted. Behind the first picture zeros may stand before the next, and anything if the first says that there
/// are more.
///
/// # Errors
/// What the first picture lacks.
pub(super) fn pictures(bytes: &[u8]) -> Result<Vec<usize>, &'static str> {
    const MOST: usize = 1000;
    const GAP: usize = 1 << 16;
    let mut starts = vec![0];
    let mut at = end(bytes)?;
    let announced = bytes[..at].windows(INDEX.len()).any(|found| found == INDEX);
    while starts.len() < MOST {
        let rest = &bytes[at..];
        let gap = match announced {
            true => rest
                .windows(START.len())
                .take(GAP)
                .position(|found| found == START),
            false => rest.iter().position(|&byte| byte != 0),
        };
        let Some(start) = gap.map(|gap| at + gap) else {
            break;
        };
        match bytes[start..]
            .starts_with(&START)
            .then(|| end(&bytes[start..]))
        {
            Some(Ok(length)) => {
                starts.push(start);
                at = start + length;
            }
            _ => break,
        }
    }
    Ok(starts)
}

/// How a picture begins.
const START: [u8; 3] = [0xff, 0xd8, 0xff];

/// How the index of several pictures begins in the first of them.
const INDEX: [u8; 4] = *b"MPF\0";

/// Where the picture that bytes begin with ends, or what it lacks.
///
/// A stream must reach its end-of-image marker, and a progressive one must hold all scans: a decoder fills what is missing with
/// gray or blur. Walks the segments by their lengths (so that a thumbnail inside one is not taken for the image) and the
/// entropy-coded data by its byte stuffing (ITU-T T.81, annexes B and G).
fn end(bytes: &[u8]) -> Result<usize, &'static str> {
    const END: Result<usize, &str> = Err("the file ends before the image does");
    let mut scans = Scans::default();
    let mut at = 2;
    loop {
        // Between segments, and at the end of entropy-coded data, the next marker is looked for.
        let Some(&[first, second]) = bytes
            .get(at..at + 2)
            .and_then(|pair| pair.first_chunk::<2>())
        else {
            return END;
        };
        match (first, second) {
            (0xff, 0xd9) if scans.are_missing() => {
                return Err("scans of a progressive image are missing");
            }
            (0xff, 0xd9) => return Ok(at + 2),
            // A fill byte, or a marker without a segment: TEM, a restart, a stuffed 0xff.
            (0xff, 0xff) => at += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, marker) => {
                let Some(length) = bytes
                    .get(at + 2..at + 4)
                    .and_then(|pair| pair.first_chunk::<2>())
                else {
                    return END;
                };
                let end = at + 2 + usize::from(u16::from_be_bytes(*length)).max(2);
                let segment = bytes.get(at + 4..end).unwrap_or_default();
                match marker {
                    PROGRESSIVE_FRAME => scans = Scans::of_frame(segment),
                    SCAN => scans.add(segment),
                    _ => {}
                }
                at = end;
            }
            _ => at += 1,
        }
    }
}

const PROGRESSIVE_FRAME: u8 = 0xc2;
const SCAN: u8 = 0xda;

/// What the scans of a progressive image have said of each component; of another image there is nothing to know.
#[derive(Default)]
struct Scans {
    components: Vec<Component>,
}

struct Component {
    name: u8,
    /// The lowest bit known of each coefficient, in zigzag order; `None` before a scan has begun it.
    known: [Option<u8>; 64],
}

impl Scans {
    /// Of a frame header: precision, height, width, number of components, and three bytes for each.
    fn of_frame(header: &[u8]) -> Self {
        let names = header.get(6..).unwrap_or_default().chunks_exact(3);
        let component = |entry: &[u8]| Component {
            name: entry[0],
            known: [None; 64],
        };
        Self {
            components: names.map(component).collect(),
        }
    }

    /// A scan header: number of components, two bytes for each, first and last coefficient, bits before and after.
    fn add(&mut self, header: &[u8]) {
        let count = usize::from(*header.first().unwrap_or(&0));
        let Some(&[first, last, bits]) = header
            .get(1 + 2 * count..)
            .and_then(|rest| rest.first_chunk::<3>())
        else {
            return;
        };
        for entry in header[1..=2 * count].chunks_exact(2) {
            for component in &mut self.components {
                let range = usize::from(first)..=usize::from(last);
                if component.name == entry[0]
                    && let Some(known) = component.known.get_mut(range)
                {
                    known.fill(Some(bits & 15));
                }
            }
        }
    }

    /// Whether a coefficient was begun and not brought to its last bit, a component has no mean, or the first, which carries
    /// the detail, lacks a coefficient. Other components may be without detail.
    fn are_missing(&self) -> bool {
        let unfinished = |bit: &Option<u8>| bit.is_some_and(|bit| bit > 0);
        let lacks = |component: &Component| {
            component.known[0].is_none() || component.known.iter().any(unfinished)
        };
        let first = self.components.first();
        self.components.iter().any(lacks) || first.is_some_and(|c| c.known.contains(&None))
    }
}

#[cfg(test)]
mod tests {
    use super::pictures;

    fn lacks(bytes: &[u8]) -> Option<&'static str> {
        pictures(bytes).err()
    }

    /// Start, a segment that may hold an index, a scan header, data, end.
    fn picture(index: &[u8; 4]) -> Vec<u8> {
        let header = [0xff, 0xd8, 0xff, 0xe2, 0, 6];
        [
            &header[..],
            index,
            &[0xff, 0xda, 0, 2, 7, 0xff, 0, 8, 0xff, 0xd9],
        ]
        .concat()
    }

    #[test]
    fn pictures_behind_the_first_are_found() {
        let (plain, index) = (picture(b"none"), picture(b"MPF\0"));
        let length = plain.len();
        let pictures = |bytes: &[u8]| pictures(bytes).unwrap();
        assert_eq!(pictures(&plain), [0]);
        assert_eq!(pictures(&[&plain[..], &plain].concat()), [0, length]);
        let padded = [&plain[..], &[0; 5], &plain, &[0; 9]].concat();
        assert_eq!(pictures(&padded), [0, length + 5]);
        // What else stands behind a picture, of a phone's film say, is none; but where the first announces others, it is passed over.
        let other = [b"film".as_slice(), &plain].concat();
        assert_eq!(pictures(&[&plain[..], &other].concat()), [0]);
        assert_eq!(pictures(&[&index[..], &other].concat()), [0, length + 4]);
        // A second one that is cut off is none.
        assert_eq!(pictures(&[&plain[..], &plain[..length - 1]].concat()), [0]);
    }

    #[test]
    fn an_end_marker_inside_a_segment_does_not_count() {
        // Start, then APP1 of length 6 that holds an end marker, then a scan header of length 2, data, end.
        let whole = [
            0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 0, 0, 0xff, 0xda, 0, 2, 7, 0xff, 0, 8, 0xff,
            0xd9,
        ];
        assert_eq!(lacks(&whole), None);
        for length in 0..whole.len() {
            assert!(lacks(&whole[..length]).is_some(), "whole at {length} bytes");
        }
    }

    /// A progressive image of components 1 and 2 with scans of (component, first, last, bits before and after).
    fn progressive(scans: &[(u8, u8, u8, u8)]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xc2, 0, 14, 8, 0, 8, 0, 8, 2];
        bytes.extend([1, 0x11, 0, 2, 0x11, 0]);
        for &(component, first, last, bits) in scans {
            bytes.extend([0xff, 0xda, 0, 8, 1, component, 0, first, last, bits, 7, 7]);
        }
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    #[test]
    fn every_scan_of_a_progressive_image_counts() {
        let scans = [
            (1, 0, 0, 0x01),
            (2, 0, 0, 0x00),
            (1, 1, 63, 0x02),
            (1, 1, 63, 0x21),
            (1, 1, 63, 0x10),
            (1, 0, 0, 0x10),
        ];
        assert_eq!(lacks(&progressive(&scans)), None);
        // Any of them may be the one that is missing; the end of the file then tells nothing.
        for count in 0..scans.len() {
            assert!(
                lacks(&progressive(&scans[..count]))
                    .unwrap()
                    .contains("scans")
            );
        }
        // Colour without detail is an image; detail begun and not refined is not.
        let begun = [&scans[..], &[(2, 1, 63, 0x01)]].concat();
        assert!(lacks(&progressive(&begun)).is_some());
        // Ranges and components that do not exist change nothing.
        let odd = [
            &scans[..],
            &[(1, 9, 99, 0x01), (2, 9, 3, 0x01), (7, 0, 0, 0x01)],
        ]
        .concat();
        assert_eq!(lacks(&progressive(&odd)), None);
    }
}
