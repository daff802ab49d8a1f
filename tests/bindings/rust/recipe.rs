//! What bindings/README.md prescribes, in Rust: context, images, model and views of the tests.
#![allow(dead_code)] // each test uses some of it
use udi::{Context, ContextConfig, Image, Model, ModelConfig, Result, ViewConfig, Views};

pub const IMAGES: usize = 8;
pub const SIDE: usize = 48;

pub fn context() -> Context {
    Context::with(ContextConfig { num_threads: 1, ..Default::default() }).unwrap()
}

/// [IMAGES, SIDE, SIDE, 3]
pub fn pixels() -> Vec<u8> {
    let pixel = |i: usize| {
        let (c, x, y, n) = (i % 3, i / 3 % SIDE, i / 3 / SIDE % SIDE, i / 3 / SIDE / SIDE);
        ((29 * n + 3 * x * (n % 5 + 1) + 5 * y * (n % 3 + 1) + 71 * c + x * y / 8) % 256) as u8
    };
    (0..IMAGES * SIDE * SIDE * 3).map(pixel).collect()
}

pub fn images(pixels: &[u8]) -> Vec<Image<'_>> {
    pixels.chunks(SIDE * SIDE * 3).map(|image| Image::pixels(image, SIDE, SIDE, 3)).collect()
}

pub fn sizes() -> ModelConfig {
    ModelConfig {
        image_size: 32,
        resize_size: 32,
        patch_size: 8,
        embed_dim: 24,
        depth: 2,
        heads: 3,
        srs_heads: 3,
        out_dim: 64,
        head_hidden_dim: 32,
        head_bottleneck_dim: 16,
        ..ModelConfig::new("vit_tiny").unwrap()
    }
}

pub fn model(context: &Context) -> Model {
    Model::new(context, &sizes(), 1).unwrap()
}

pub fn crops() -> ViewConfig {
    ViewConfig {
        global_size: 32,
        local_size: 16,
        patch_size: 8,
        local_crops: 2,
        global_window: 2,
        local_window: 1,
        ..Default::default()
    }
}

pub fn views(context: &Context, images: &[Image], epoch: i64) -> Result<Views> {
    Views::new(context, &crops(), images, 7, epoch, 0)
}
