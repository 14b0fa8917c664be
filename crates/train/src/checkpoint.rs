//! The files of a run folder.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{Tensor, Var};
use venule_file::Error as FileError;
use venule_file::{
    Entry, clear_temporaries, create_folder, load_weights, restore_weights, stage_archive,
    sync_folder,
};

use crate::state::RunState;
use crate::{AdamW, Ema, Error, Result};

/// The weights of the best validation, in a run folder.
pub const BEST_FILE: &str = "best.safetensors";
/// The weights at the end of the run.
pub const FINAL_FILE: &str = "final.safetensors";
/// The JSON-lines log.
pub const LOG_FILE: &str = "log.jsonl";
const LOCK_FILE: &str = "run.lock";
const PREFIX: &str = "checkpoint-";
const WEIGHTS_SUFFIX: &str = ".safetensors";
const STATE_SUFFIX: &str = ".state.safetensors";
const STATE_KEY: &str = "state";
/// What the names of the moments begin with.
pub(crate) const OPTIMIZER: &str = "optimizer/";
/// What the names of the averages begin with.
pub(crate) const AVERAGE: &str = "average/";

/// The weights of the newest resumable checkpoint in a run folder, if there is one.
///
/// # Errors
/// [`Error::File`] if the folder cannot be listed.
pub fn latest_checkpoint(directory: &Path) -> Result<Option<PathBuf>> {
    let newest = resumable_steps(directory)?.into_iter().next();
    Ok(newest.map(|step| weights_path(directory, step)))
}

fn weights_path(directory: &Path, step: usize) -> PathBuf {
    directory.join(format!("{PREFIX}{step:09}{WEIGHTS_SUFFIX}"))
}

fn state_path(directory: &Path, step: usize) -> PathBuf {
    directory.join(format!("{PREFIX}{step:09}{STATE_SUFFIX}"))
}

/// The steps in file names with this suffix, newest first.
fn steps_with(directory: &Path, suffix: &str) -> Result<Vec<usize>> {
    let mut steps: Vec<usize> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(FileError::reading("list", directory))? {
        let name = entry
            .map_err(FileError::reading("list", directory))?
            .file_name();
        let step = name
            .to_string_lossy()
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_suffix(suffix))
            .and_then(|digits| digits.parse::<usize>().ok());
        steps.extend(step);
    }
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}

/// The state is written after its weights: a state file marks a complete checkpoint.
fn resumable_steps(directory: &Path) -> Result<Vec<usize>> {
    steps_with(directory, STATE_SUFFIX)
}

/// A run folder that this process alone writes to.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Steps of the checkpoints that were found damaged: they are not counted among those kept.
    damaged: Mutex<Vec<usize>>,
    /// Held open: the lock ends with it, also when the process is killed.
    _lock: File,
}

impl RunFolder {
    /// Creates the folder if need be, locks it and clears what a killed run left half written.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        create_folder(path)?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(FileError::writing("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message; the holder may be writing it just now.
                let _ = (&lock).take(64).read_to_string(&mut holder);
                return Err(Error::Locked {
                    directory: path.to_path_buf(),
                    holder: match holder.trim() {
                        "" => "unknown".into(),
                        holder => holder.into(),
                    },
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(FileError::writing("lock", &lock_path)(source).into());
            }
        }
        lock.set_len(0)
            .and_then(|()| lock.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(lock, "process {}", std::process::id()))
            .map_err(FileError::writing("write", &lock_path))?;
        clear_temporaries(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            damaged: Mutex::default(),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The first file that belongs to a run, if any.
    pub(crate) fn existing_run(&self) -> Result<Option<String>> {
        let steps = steps_with(&self.path, WEIGHTS_SUFFIX)?;
        if let Some(step) = steps.first() {
            return Ok(Some(format!("{PREFIX}{step:09}{WEIGHTS_SUFFIX}")));
        }
        let there = |name: &&str| match std::fs::metadata(self.path.join(name)) {
            // A run that failed in its first step leaves an empty log.
            Ok(file) => *name != LOG_FILE || file.len() > 0,
            Err(_) => false,
        };
        let found = [BEST_FILE, FINAL_FILE, LOG_FILE].into_iter().find(there);
        Ok(found.map(str::to_string))
    }

    /// The weights of a run that came to its end, if there are any.
    pub(crate) fn finished_run(&self) -> Option<String> {
        let finished = self.path.join(FINAL_FILE).exists();
        finished.then(|| format!("{FINAL_FILE}, and no checkpoint to go on from"))
    }

    /// Removes the weights of an end that is no longer the run's.
    pub(crate) fn remove_final(&self) -> Result<()> {
        remove_if_there(&self.path.join(FINAL_FILE))
    }

    pub(crate) fn has_checkpoint(&self) -> Result<bool> {
        Ok(!resumable_steps(&self.path)?.is_empty())
    }

    /// Writes a resumable checkpoint, then removes all but the `keep` latest. Returns its weights file.
    pub(crate) fn save(
        &self,
        weights: &[(String, Tensor)],
        metadata: &BTreeMap<String, String>,
        optimizer: &AdamW,
        average: Option<&Ema>,
        mut state: RunState,
        keep: usize,
    ) -> Result<PathBuf> {
        let step = state.step;
        let path = weights_path(&self.path, step);
        // A checkpoint of this step may exist, and be the only one: it is replaced once both files are whole.
        let weights = weights.iter();
        let weights = weights.map(|(name, tensor)| Entry::tensor(name.clone(), tensor));
        let (weights, checksum) =
            stage_archive(&path, weights.collect::<Result<_, _>>()?, metadata)?;
        state.weights_checksum = checksum;
        let mut entries = optimizer.entries(OPTIMIZER)?;
        if let Some(average) = average {
            for (name, tensor) in average.tensors()? {
                let name = format!("{AVERAGE}{name}");
                entries.push(Entry::tensor(name, &tensor)?);
            }
        }
        let document = state.to_json()?;
        let metadata = BTreeMap::from([(STATE_KEY.to_string(), document)]);
        let (state, _) = stage_archive(&state_path(&self.path, step), entries, &metadata)?;
        // A state file marks a complete checkpoint: an old one must not stand beside new weights, should the program be killed here.
        remove_if_there(&state_path(&self.path, step))?;
        weights.place()?;
        state.place()?;
        sync_folder(&self.path)?;
        self.rotate(step, keep)?;
        Ok(path)
    }

    /// Keeps the `keep` latest checkpoints but for the damaged ones, which are left as they are: none of them may push out an intact
    /// one. `newest` is intact, whatever it was before.
    fn rotate(&self, newest: usize, keep: usize) -> Result<()> {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.retain(|&step| step != newest);
        let mut states = resumable_steps(&self.path)?;
        states.retain(|step| !damaged.contains(step));
        let kept: Vec<_> = states.iter().take(keep).collect();
        for step in states.iter().skip(keep) {
            // The state first: weights without a state are no checkpoint.
            remove_if_there(&state_path(&self.path, *step))?;
        }
        for step in steps_with(&self.path, WEIGHTS_SUFFIX)? {
            if !damaged.contains(&step) && !kept.contains(&&step) {
                remove_if_there(&weights_path(&self.path, step))?;
            }
        }
        Ok(())
    }

    /// The newest intact checkpoint; `passed_over` is told of each damaged one.
    pub(crate) fn load_latest(&self, mut passed_over: impl FnMut(&Error)) -> Result<Loaded> {
        let mut tried = Vec::new();
        for step in resumable_steps(&self.path)? {
            match self.load(step) {
                Ok(loaded) => return Ok(loaded),
                Err(error) => {
                    let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
                    damaged.push(step);
                    passed_over(&error);
                    tried.push(error.to_string());
                }
            }
        }
        Err(Error::NoIntactCheckpoint {
            directory: self.path.clone(),
            tried,
        })
    }

    fn load(&self, step: usize) -> Result<Loaded> {
        let path = state_path(&self.path, step);
        let state = load_weights(&path)?;
        let bad = |reason: String| Error::State {
            path: path.clone(),
            reason,
        };
        if state.checksum.is_none() {
            return Err(bad("it carries no checksum".into()));
        }
        let document = state.metadata.get(STATE_KEY);
        let document = document.ok_or_else(|| bad("its metadata holds no state".into()))?;
        let run = RunState::from_json(document).map_err(|error| bad(error.to_string()))?;
        let weights_path = weights_path(&self.path, step);
        let weights = load_weights(&weights_path)?;
        if weights.checksum.as_ref() != Some(&run.weights_checksum) {
            return Err(bad(format!(
                "{} was not saved with it",
                weights_path.display()
            )));
        }
        Ok(Loaded {
            weights_path,
            weights: weights.tensors,
            optimizer: part(&state.tensors, OPTIMIZER),
            average: part(&state.tensors, AVERAGE),
            state: run,
            state_path: path.clone(),
        })
    }
}

/// The tensors whose names begin so, by the rest of their names.
pub(crate) fn part(tensors: &BTreeMap<String, Tensor>, prefix: &str) -> BTreeMap<String, Tensor> {
    let tensors = tensors.iter();
    tensors
        .filter_map(|(name, tensor)| {
            let name = name.strip_prefix(prefix)?;
            Some((name.to_string(), tensor.clone()))
        })
        .collect()
}

/// A verified checkpoint.
pub(crate) struct Loaded {
    weights_path: PathBuf,
    weights: BTreeMap<String, Tensor>,
    pub(crate) optimizer: BTreeMap<String, Tensor>,
    pub(crate) average: BTreeMap<String, Tensor>,
    pub(crate) state: RunState,
    pub(crate) state_path: PathBuf,
}

impl Loaded {
    pub(crate) fn restore_weights(&self, params: &[(String, Var)]) -> Result<()> {
        Ok(restore_weights(&self.weights_path, &self.weights, params)?)
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::writing("remove", path)(error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunFolder::open(dir.path()).unwrap();
        let error = RunFolder::open(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }));
        // The message names the holder.
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        RunFolder::open(dir.path()).unwrap();
    }
}
