//! The layers of the networks as nodes, under the names that their variables have.

use candle_core::Tensor;

use crate::Result;
use crate::graph::{Graph, Map, Set, Side, Value};

/// Added to the variance in group normalisation.
const GROUP_NORM_EPS: f32 = 1e-5;

impl Graph<'_> {
    /// A 1×1 convolution with a bias.
    pub(crate) fn conv1x1(&mut self, x: &Map, outputs: usize, name: &str) -> Result<Map> {
        let weight = self.weight(&format!("{name}.weight"), &[outputs, x.channels, 1, 1])?;
        let bias = self.weight(&format!("{name}.bias"), &[outputs])?;
        let value = self.node(
            "Conv",
            name,
            &[&x.value, &weight, &bias],
            &[("kernel_shape", Set::Ints(&[1, 1]))],
        );
        Ok(Map {
            value,
            channels: outputs,
            ..x.clone()
        })
    }

    /// Twice [conv 3×3, group norm, ReLU]: variables `conv1`, `norm1`, `conv2`, `norm2` under `name`.
    pub(crate) fn conv_stage(
        &mut self,
        x: &Map,
        outputs: usize,
        groups: usize,
        bias: bool,
        name: &str,
    ) -> Result<Map> {
        let mut x = x.clone();
        for number in [1, 2] {
            let conv = format!("{name}.conv{number}");
            let weight = format!("{conv}.weight");
            let weight = self.weight(&weight, &[outputs, x.channels, 3, 3])?;
            let mut inputs = vec![x.value.as_str(), &weight];
            let bias = match bias {
                true => Some(self.weight(&format!("{conv}.bias"), &[outputs])?),
                false => None,
            };
            inputs.extend(bias.as_deref());
            x.value = self.node(
                "Conv",
                &conv,
                &inputs,
                &[
                    ("kernel_shape", Set::Ints(&[3, 3])),
                    ("pads", Set::Ints(&[1, 1, 1, 1])),
                ],
            );
            x.channels = outputs;
            x = self.group_norm(&x, groups, &format!("{name}.norm{number}"))?;
            x.value = self.node("Relu", &format!("{name}.norm{number}"), &[&x.value], &[]);
        }
        Ok(x)
    }

    /// Group normalisation: each group is an instance of one long line.
    fn group_norm(&mut self, x: &Map, groups: usize, name: &str) -> Result<Map> {
        let device = candle_core::Device::Cpu;
        let weight = self.parameter(&format!("{name}.weight"), &[x.channels])?;
        let bias = self.parameter(&format!("{name}.bias"), &[x.channels])?;
        let per_channel = |tensor: &Tensor| tensor.reshape((x.channels, 1, 1));
        let weight = self.tensor(&format!("{name}.weight"), &per_channel(&weight)?)?;
        let bias = self.tensor(&format!("{name}.bias"), &per_channel(&bias)?)?;
        let ones = Tensor::ones(groups, candle_core::DType::F32, &device)?;
        let ones = self.tensor(&format!("{name}/ones"), &ones)?;
        let zeros = Tensor::zeros(groups, candle_core::DType::F32, &device)?;
        let zeros = self.tensor(&format!("{name}/zeros"), &zeros)?;
        let lines = self.integers(&[0, groups as i64, -1], &[3]);
        let lines = self.node("Reshape", name, &[&x.value, &lines], &[]);
        let normal = self.node(
            "InstanceNormalization",
            name,
            &[&lines, &ones, &zeros],
            &[("epsilon", Set::Float(GROUP_NORM_EPS))],
        );
        let channels = Side::Known(x.channels as i64);
        let shape = [Side::Known(0), channels, x.height.clone(), x.width.clone()];
        let shape = self.sides(&shape);
        let normal = self.node("Reshape", name, &[&normal, &shape], &[]);
        let scaled = self.node("Mul", name, &[&normal, &weight], &[]);
        Ok(Map {
            value: self.node("Add", name, &[&scaled, &bias], &[]),
            ..x.clone()
        })
    }

    /// The largest of each 2×2 square.
    pub(crate) fn max_pool2x2(&mut self, x: &Map, place: &str) -> Map {
        let value = self.node(
            "MaxPool",
            place,
            &[&x.value],
            &[
                ("kernel_shape", Set::Ints(&[2, 2])),
                ("strides", Set::Ints(&[2, 2])),
            ],
        );
        let two = Side::Known(2);
        Map {
            value,
            channels: x.channels,
            height: self.divide(&x.height, &two),
            width: self.divide(&x.width, &two),
        }
    }

    /// Bilinear upsampling to twice the size, with half-pixel centres and repeated borders.
    pub(crate) fn upsample2x(&mut self, x: &Map, place: &str) -> Result<Map> {
        let scales = Tensor::new(&[1f32, 1.0, 2.0, 2.0], &candle_core::Device::Cpu)?;
        let scales = self.tensor(&format!("{place}/scales"), &scales)?;
        let value = self.node(
            "Resize",
            place,
            &[&x.value, "", &scales],
            &[
                ("mode", Set::Word("linear")),
                ("coordinate_transformation_mode", Set::Word("half_pixel")),
            ],
        );
        let two = Side::Known(2);
        Ok(Map {
            value,
            channels: x.channels,
            height: self.multiply(&x.height, &two),
            width: self.multiply(&x.width, &two),
        })
    }

    /// Maps of one size, one behind the other along the channels.
    pub(crate) fn join(&mut self, a: &Map, b: &Map, place: &str) -> Map {
        Map {
            value: self.node(
                "Concat",
                place,
                &[&a.value, &b.value],
                &[("axis", Set::Int(1))],
            ),
            channels: a.channels + b.channels,
            ..a.clone()
        }
    }

    /// Tokens (B, T, inputs) → (B, T, outputs): the weight stands transposed.
    pub(crate) fn linear(
        &mut self,
        x: &Value,
        (inputs, outputs): (usize, usize),
        bias: bool,
        name: &str,
    ) -> Result<Value> {
        let weight = self.parameter(&format!("{name}.weight"), &[outputs, inputs])?;
        let weight = self.tensor(&format!("{name}.weight"), &weight.t()?)?;
        let product = self.node("MatMul", name, &[x, &weight], &[]);
        if !bias {
            return Ok(product);
        }
        let bias = self.weight(&format!("{name}.bias"), &[outputs])?;
        Ok(self.node("Add", name, &[&product, &bias], &[]))
    }

    pub(crate) fn layer_norm(
        &mut self,
        x: &Value,
        width: usize,
        eps: f64,
        name: &str,
    ) -> Result<Value> {
        let weight = self.weight(&format!("{name}.weight"), &[width])?;
        let bias = self.weight(&format!("{name}.bias"), &[width])?;
        Ok(self.node(
            "LayerNormalization",
            name,
            &[x, &weight, &bias],
            &[("axis", Set::Int(-1)), ("epsilon", Set::Float(eps as f32))],
        ))
    }

    /// The exact GELU, x (1 + erf(x / √2)) / 2.
    pub(crate) fn gelu(&mut self, x: &Value, place: &str) -> Result<Value> {
        let root = self.number(place, std::f32::consts::SQRT_2)?;
        let (one, half) = (self.number(place, 1.0)?, self.number(place, 0.5)?);
        let scaled = self.node("Div", place, &[x, &root], &[]);
        let erf = self.node("Erf", place, &[&scaled], &[]);
        let sum = self.node("Add", place, &[&erf, &one], &[]);
        let product = self.node("Mul", place, &[x, &sum], &[]);
        Ok(self.node("Mul", place, &[&product, &half], &[]))
    }
}
