use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tract_onnx::prelude::*;

use super::interface::{chosen, gives_probabilities};
use super::{Interface, check, scan};
use crate::{Error, Result};

/// Most bytes of a file: what protobuf allows.
const LARGEST_FILE: u64 = i32::MAX as u64;

/// Most values of a tensor between two nodes: four gigabytes.
const MOST_VALUES: usize = 1 << 30;

type Plan = Arc<TypedRunnableModel>;

/// A segmentation network of an ONNX file, of any maker: one input of images, and a map of vessels.
///
/// It runs on the CPU in Rust alone, by `tract`. The map has one channel, or two, of which the second is vessel; what does not come
/// out of a sigmoid or softmax is taken for logits.
pub struct OnnxNetwork {
    path: PathBuf,
    interface: Interface,
    metadata: BTreeMap<String, String>,
    model: InferenceModel,
    gives_probabilities: bool,
    /// What was built for images of the last channels, height and width.
    plan: Mutex<Option<([usize; 3], Plan)>>,
}

impl std::fmt::Debug for OnnxNetwork {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OnnxNetwork")
            .field("path", &self.path)
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

impl OnnxNetwork {
    /// Reads a file, and takes its output of this name; without one its only output, or that which is called `probability` or
    /// `logits`.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::File`] if it is no sound ONNX file or its input is no image,
    /// [`Error::Operators`] if it has operators that are not known.
    pub fn load(path: impl AsRef<Path>, output: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        let unusable = |reason: String| Error::File {
            path: path.to_owned(),
            reason,
        };
        let bytes = read(path)?;
        scan::check(&bytes).map_err(|reason| unusable(format!("{NOT_ONNX}: {reason}")))?;
        let onnx = tract_onnx::onnx();
        let proto = onnx.proto_model_for_read(&mut bytes.as_slice());
        let mut proto = proto.map_err(|error| unusable(format!("{NOT_ONNX}: {error}")))?;
        drop(bytes);
        let Some(graph) = proto.graph.as_mut().filter(|graph| !graph.node.is_empty()) else {
            return Err(unusable(format!("{NOT_ONNX}: it holds no graph")));
        };
        let operators = check::unknown_operators(&onnx, graph);
        if !operators.is_empty() {
            return Err(Error::Operators {
                path: path.to_owned(),
                operators: operators.join(", "),
            });
        }
        check::graph(graph).map_err(unusable)?;
        let constants: BTreeSet<&String> = graph.initializer.iter().map(|t| &t.name).collect();
        let inputs = graph.input.iter().filter(|i| !constants.contains(&i.name));
        let interface = match inputs.collect::<Vec<_>>().as_slice() {
            [only] => Interface::of(only).map_err(unusable)?,
            all => {
                return Err(unusable(format!(
                    "it has {} inputs, but a network of vessels takes one, of images",
                    all.len()
                )));
            }
        };
        let output = chosen(graph, output).map_err(unusable)?.clone();
        let gives_probabilities = gives_probabilities(graph, &output.name);
        graph.output = vec![output];
        let model = guarded(|| onnx.model_for_proto_model(&proto));
        let entries = proto.metadata_props.into_iter();
        Ok(Self {
            path: path.to_owned(),
            interface,
            metadata: entries.map(|entry| (entry.key, entry.value)).collect(),
            model: model.map_err(unusable)?,
            gives_probabilities,
            plan: Mutex::new(None),
        })
    }

    /// What it takes.
    pub fn interface(&self) -> Interface {
        self.interface
    }

    /// What the file says of itself, by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Probabilities of vessels, H rows of W pixels, of an image of [C, H, W] values, on the CPU.
    ///
    /// # Errors
    /// [`Error::Run`] if the network cannot be built or run for this size, or its output is no map of the image's size;
    /// [`Error::Probability`] if a value is not in [0, 1].
    pub fn probabilities(&self, image: &[f32], sizes: [usize; 3]) -> Result<Vec<f32>> {
        let count = sizes
            .iter()
            .try_fold(1usize, |all, side| all.checked_mul(*side));
        if image.is_empty() || count != Some(image.len()) {
            let reason = format!("the image has {} values", image.len());
            return Err(self.failed(sizes, reason));
        }
        let plan = self.plan(sizes)?;
        let [channels, height, width] = sizes;
        let output = guarded(|| {
            let input = Tensor::from_shape(&[1, channels, height, width], image)?;
            let outputs = plan.run(tvec!(input.into_tvalue()))?;
            let output = outputs.into_iter().next();
            let output = output.ok_or_else(|| TractError::msg("it gave nothing"))?;
            let output = output.cast_to::<f32>()?.into_owned();
            let shape = output.shape().to_vec();
            Ok((
                shape,
                output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec(),
            ))
        });
        let (shape, values) = output.map_err(|reason| self.failed(sizes, reason))?;
        let maps = self.maps(sizes, &shape)?;
        let values = self.meant(&values, maps);
        match values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            Some(&value) => Err(Error::Probability {
                path: self.path.clone(),
                value,
            }),
            None => Ok(values),
        }
    }

    /// How many maps an output of this shape holds: one, or two.
    fn maps(&self, sizes: [usize; 3], shape: &[usize]) -> Result<usize> {
        match *shape {
            [1, maps @ (1 | 2), height, width] if [height, width] == sizes[1..] => Ok(maps),
            _ => Err(self.failed(
                sizes,
                format!(
                    "its output has shape {shape:?}; expected [1, 1 or 2, {}, {}]",
                    sizes[1], sizes[2]
                ),
            )),
        }
    }

    /// Probabilities of what the output gives.
    fn meant(&self, values: &[f32], maps: usize) -> Vec<f32> {
        // By tanh: finite for every logit.
        let sigmoid = |logit: f32| 0.5 * (0.5 * logit).tanh() + 0.5;
        let (first, second) = values.split_at(values.len() / maps);
        match (maps, self.gives_probabilities) {
            (1, true) => values.to_vec(),
            (1, false) => values.iter().map(|&logit| sigmoid(logit)).collect(),
            (_, true) => second.to_vec(),
            (_, false) => {
                let pairs = first.iter().zip(second);
                pairs.map(|(none, vessel)| sigmoid(vessel - none)).collect()
            }
        }
    }

    /// What runs images of these channels, height and width.
    fn plan(&self, sizes: [usize; 3]) -> Result<Plan> {
        let mut kept = self
            .plan
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        if let Some((of, plan)) = kept.as_ref()
            && *of == sizes
        {
            return Ok(plan.clone());
        }
        let [channels, height, width] = sizes;
        let built = guarded(|| {
            let shape = [1, channels, height, width];
            let model = self.model.clone();
            let model = model
                .with_input_fact(0, f32::fact(shape).into())?
                .into_typed()?;
            for node in model.nodes() {
                for output in &node.outputs {
                    let sides = output.fact.shape.as_concrete();
                    let values = sides.and_then(|sides| {
                        sides
                            .iter()
                            .try_fold(1usize, |all, side| all.checked_mul(*side))
                    });
                    if values.is_none_or(|values| values > MOST_VALUES) {
                        return Err(TractError::msg(format!(
                            "its node '{}' makes a tensor of {:?}, which is not known to have at most {MOST_VALUES} values",
                            node.name, output.fact.shape
                        )));
                    }
                }
            }
            model.into_optimized()?.into_runnable()
        });
        let plan = built.map_err(|reason| self.failed(sizes, reason))?;
        if let Ok(fact) = plan.model().output_fact(0) {
            let sides: Option<Vec<usize>> = fact.shape.as_concrete().map(<[usize]>::to_vec);
            self.maps(sizes, &sides.unwrap_or_default())?;
        }
        *kept = Some((sizes, plan.clone()));
        Ok(plan)
    }

    fn failed(&self, [channels, height, width]: [usize; 3], reason: String) -> Error {
        Error::Run {
            path: self.path.clone(),
            channels,
            height,
            width,
            reason,
        }
    }
}

const NOT_ONNX: &str = "it is damaged or no ONNX file";

/// A file's bytes.
fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(LARGEST_FILE + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > LARGEST_FILE {
        true => Err(Error::TooLarge {
            bytes: bytes.len(),
            limit: LARGEST_FILE as usize,
        }),
        false => Ok(bytes),
    }
}

/// What the runtime gives, or says: it may stop at what it does not expect.
fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        // With its causes.
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(format!("the runtime stopped: {}", said.unwrap_or_default()))
        }
    }
}
