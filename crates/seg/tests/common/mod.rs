//! An encoder for tests: for each patch size one map, from embedded patches through one transformer block.

use candle_core::{Module, Result, Tensor};
use venule_nn::{
    Block, BlockConfig, Encoder, FeatureInfo, FeatureMap, Features, LayerNorm, Linear, Mode,
    Params, patchify,
};

pub const WIDTH: usize = 8;

pub struct Patches(Vec<(usize, Linear, Block, LayerNorm)>);

impl Patches {
    pub fn new(patches: &[usize], params: &Params) -> Self {
        let config = BlockConfig {
            width: WIDTH,
            heads: 2,
            mlp_ratio: 4.0,
            qkv_bias: false,
            layer_norm_eps: 1e-6,
            drop_path: 0.0,
        };
        let build = |(i, &patch): (usize, &usize)| {
            let params = params.pp(i);
            (
                patch,
                Linear::new(patch * patch, WIDTH, true, &params.pp("proj")).unwrap(),
                Block::new(&config, &params.pp("block")).unwrap(),
                LayerNorm::new(WIDTH, 1e-6, &params.pp("norm")).unwrap(),
            )
        };
        Self(patches.iter().enumerate().map(build).collect())
    }
}

impl Encoder for Patches {
    fn forward(&self, images: &Tensor, mode: Mode) -> Result<Features> {
        let (b, _, h, w) = images.dims4()?;
        let map = |(patch, proj, block, norm): &(usize, Linear, Block, LayerNorm)| {
            let tokens = proj.forward(&patchify(images, *patch)?)?;
            let tokens = norm.forward(&block.forward(&tokens, mode)?)?;
            Ok(FeatureMap {
                tensor: tokens
                    .transpose(1, 2)?
                    .reshape((b, WIDTH, h / patch, w / patch))?,
                stride: *patch,
            })
        };
        let maps = self.0.iter().map(map).collect::<Result<_>>()?;
        Ok(Features { maps })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        let info = |(patch, ..): &(usize, Linear, Block, LayerNorm)| FeatureInfo {
            channels: WIDTH,
            stride: *patch,
        };
        self.0.iter().map(info).collect()
    }
}
