//! Event files for TensorBoard, without its libraries.
//!
//! An event file is a row of records: length (u64), masked CRC-32C of the length, bytes, masked
//! CRC-32C of the bytes. The bytes are an `Event` message in protocol-buffer encoding; only the
//! few fields needed here are encoded, by hand.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use venule::file::{Error as FileError, crc32c, create_folder};
use venule::train::{
    BoxError, Callback, EpochInfo, PicturesInfo, StartInfo, StepInfo, ValidationInfo,
};

use crate::Result;

/// Writes TensorBoard event files: loss, learning rate, gradient norm and terms of every step,
/// means of every epoch, scores of every validation, the task's pictures; more through [`TensorBoard::scalar`] and
/// [`TensorBoard::image`].
///
/// Each session of a run writes a file of its own; on resuming, TensorBoard is told to drop what
/// came after the resumed step.
#[derive(Debug)]
pub struct TensorBoard {
    directory: PathBuf,
    file: Option<(PathBuf, File)>,
}

impl TensorBoard {
    /// Event files in `directory`, which is made if need be; the file appears with the first event.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            file: None,
        }
    }

    /// Adds the number `value` to the curve `tag` at `step`.
    ///
    /// # Errors
    /// [`crate::Error::Venule`].
    pub fn scalar(&mut self, tag: &str, step: usize, value: f64) -> Result<()> {
        let mut summary = Vec::new();
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, tag.as_bytes());
        put_fixed32(&mut entry, 2, (value as f32).to_bits());
        put_bytes(&mut summary, 1, &entry);
        self.event(step, 5, &summary)
    }

    /// Adds a picture, encoded as PNG, of `width` × `height` pixels under `tag` at `step`.
    ///
    /// # Errors
    /// [`crate::Error::Venule`].
    pub fn image(
        &mut self,
        tag: &str,
        step: usize,
        (width, height): (u32, u32),
        png: &[u8],
    ) -> Result<()> {
        let mut image = Vec::new();
        put_varint_field(&mut image, 1, u64::from(height));
        put_varint_field(&mut image, 2, u64::from(width));
        // Colour space 3: RGB.
        put_varint_field(&mut image, 3, 3);
        put_bytes(&mut image, 4, png);
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, tag.as_bytes());
        put_bytes(&mut entry, 4, &image);
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &entry);
        self.event(step, 5, &summary)
    }

    /// Tells TensorBoard that the run goes on with `step`: points of earlier files from there on are void.
    fn session_start(&mut self, step: usize) -> Result<()> {
        let mut session = Vec::new();
        put_varint_field(&mut session, 1, 1);
        self.event(step, 7, &session)
    }

    fn event(&mut self, step: usize, field: u32, message: &[u8]) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut event = Vec::new();
        put_fixed64(&mut event, 1, now.as_secs_f64().to_bits());
        put_varint_field(&mut event, 2, step as u64);
        put_bytes(&mut event, field, message);
        let (path, file) = self.open(now.as_nanos())?;
        Ok(file
            .write_all(&record(&event))
            .map_err(FileError::writing("write", path))?)
    }

    fn open(&mut self, nanoseconds: u128) -> Result<(&Path, &mut File)> {
        let (path, file) = match self.file.take() {
            Some(open) => open,
            None => {
                let directory = &self.directory;
                create_folder(directory)?;
                // Readers sort by name: time first, then something unique.
                let seconds = nanoseconds / 1_000_000_000;
                let name = format!(
                    "events.out.tfevents.{seconds:010}.venule.{}.{nanoseconds}",
                    std::process::id()
                );
                let path = directory.join(name);
                let mut file =
                    File::create_new(&path).map_err(FileError::writing("create", &path))?;
                let mut event = Vec::new();
                put_fixed64(&mut event, 1, (seconds as f64).to_bits());
                put_bytes(&mut event, 3, b"brain.Event:2");
                file.write_all(&record(&event))
                    .map_err(FileError::writing("write", &path))?;
                (path, file)
            }
        };
        let (path, file) = self.file.insert((path, file));
        Ok((path, file))
    }

    fn scalars(&mut self, group: &str, step: usize, values: &[(String, f64)]) -> Result<()> {
        let mut values = values.iter();
        values.try_for_each(|(name, value)| self.scalar(&format!("{group}/{name}"), step, *value))
    }
}

impl Callback for TensorBoard {
    fn name(&self) -> &str {
        "tensorboard"
    }

    fn on_start(&mut self, info: &StartInfo<'_>) -> Result<(), BoxError> {
        if info.resumed {
            // The points of the last step that was taken, and of the epoch that ended with it, stay.
            self.session_start(info.step + 1)?;
        }
        Ok(())
    }

    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        self.scalar("step/lr", info.step, info.lr)?;
        if let Some(loss) = info.loss {
            self.scalar("step/loss", info.step, loss)?;
        }
        if let Some(norm) = info.grad_norm {
            self.scalar("step/grad_norm", info.step, norm)?;
        }
        Ok(self.scalars("step", info.step, info.terms)?)
    }

    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        if let Some(loss) = info.loss {
            self.scalar("epoch/loss", info.step, loss)?;
        }
        Ok(self.scalars("epoch", info.step, info.terms)?)
    }

    fn wants_pictures(&self) -> bool {
        true
    }

    fn on_pictures(&mut self, info: &PicturesInfo<'_>) -> Result<(), BoxError> {
        for picture in info.pictures {
            let size = (picture.width, picture.height);
            self.image(&picture.name, info.step, size, &picture.png)?;
        }
        Ok(())
    }

    fn on_validation(&mut self, info: &ValidationInfo<'_>) -> Result<(), BoxError> {
        if let Some(score) = info.score {
            self.scalar("validation/score", info.step, score)?;
        }
        Ok(self.scalars("validation", info.step, info.metrics)?)
    }
}

/// A record: length, its checksum, bytes, their checksum.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 16);
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(bytes);
    out.extend(masked(crc32c(bytes)).to_le_bytes());
    out
}

/// The format rotates and shifts checksums, so that one stored among data does not look like one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_key(out: &mut Vec<u8>, field: u32, wire: u32) {
    put_varint(out, u64::from(field << 3 | wire));
}

fn put_varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    put_key(out, field, 0);
    put_varint(out, value);
}

fn put_fixed64(out: &mut Vec<u8>, field: u32, bits: u64) {
    put_key(out, field, 1);
    out.extend(bits.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_key(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn put_fixed32(out: &mut Vec<u8>, field: u32, bits: u32) {
    put_key(out, field, 5);
    out.extend(bits.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_encoding_by_the_book() {
        // The encoding guide's examples: field 1 = 150 is 08 96 01; field 2 = "testing".
        let mut out = Vec::new();
        put_varint_field(&mut out, 1, 150);
        put_bytes(&mut out, 2, b"testing");
        let expected = b"\x08\x96\x01\x12\x07testing";
        assert_eq!(out, expected);
    }

    #[test]
    fn records_carry_masked_checksums() {
        let bytes = record(b"123456789");
        assert_eq!(&bytes[..8], &9u64.to_le_bytes());
        // CRC-32C of "123456789" is e3069283; rotated right by 15: 2507c60d; plus a282ead8.
        let crc = 0x2507_c60d_u32.wrapping_add(0xa282_ead8);
        assert_eq!(&bytes[21..], &crc.to_le_bytes());
        assert_eq!(bytes.len(), 8 + 4 + 9 + 4);
    }

    /// The messages in the only file of a folder.
    fn records(folder: &Path) -> Vec<Vec<u8>> {
        let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let (mut at, mut records) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            records.push(bytes[at + 12..at + 12 + length].to_vec());
            at += length + 16;
        }
        assert_eq!(at, bytes.len());
        records
    }

    #[test]
    fn a_resumed_run_voids_what_comes_after_its_last_step() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::new(dir.path());
        let start = StartInfo {
            task: "t",
            directory: None,
            parameters: 1,
            epochs: 1,
            total_steps: 20,
            steps_per_epoch: 20,
            resumed: true,
            step: 8,
            epoch: 0,
        };
        board.on_start(&start).unwrap();
        let records = records(dir.path());
        // Step 9; field 7 holds a session log of two bytes: status START.
        assert_eq!(&records[1][9..], &[0x10, 9, 0x3a, 2, 0x08, 1]);
    }

    #[test]
    fn files_are_rows_of_records() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::new(dir.path().join("tb"));
        board.scalar("loss", 3, 0.5).unwrap();
        board.image("picture", 4, (2, 1), b"png").unwrap();
        let records = records(&dir.path().join("tb"));
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        // Step 3; the value 0.5 as a float closes the message.
        assert_eq!(&records[1][9..11], &[0x10, 3]);
        assert!(records[1].ends_with(&0.5f32.to_le_bytes()));
    }
}
