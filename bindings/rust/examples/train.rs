//! Trains a small model on images in memory, saves and loads it, and extracts cls tokens.
//!
//!     cargo run --example train
use udi::{
    Array, Context, ExtractConfig, Image, Layout, Model, ModelConfig, Role, TrainConfig, Trainer, ViewConfig, Views,
};

const IMAGES: usize = 32;
const SIDE: usize = 32;
const STEPS: i64 = 60;

/// Stripes of many colours, widths and directions.
fn draw(i: usize) -> u8 {
    let (c, x, y, n) = (i % 3, i / 3 % SIDE, i / 3 / SIDE % SIDE, i / 3 / SIDE / SIDE);
    let stripe = (x * (n % 5) + y * (n % 3 + 1)) / (n % 4 + 3) % 2;
    (if stripe == 1 { 50 * (n % 6) } else { 80 * c }) as u8
}

fn main() -> udi::Result<()> {
    let pixels: Vec<u8> = (0..IMAGES * SIDE * SIDE * 3).map(draw).collect();
    let images: Vec<_> = pixels.chunks(SIDE * SIDE * 3).map(|image| Image::pixels(image, SIDE, SIDE, 3)).collect();

    let context = Context::new()?; // the CPU; nothing is logged
    let mut sizes = ModelConfig::new("vit_tiny")?;
    sizes.image_size = SIDE as i32;
    sizes.resize_size = SIDE as i32;
    sizes.patch_size = 8;
    sizes.embed_dim = 48;
    sizes.depth = 3;
    sizes.out_dim = 256;
    sizes.head_hidden_dim = 256;
    let model = Model::new(&context, &sizes, 0)?;

    let training = TrainConfig {
        total_steps: STEPS,
        lr: 2e-3,
        momentum_teacher: 0.9, // so few steps need a teacher that follows fast
        momentum_teacher_end: 0.9,
        teacher_temp: 0.03,
        warmup_teacher_temp: 0.03,
        ..Default::default()
    };
    let crops = ViewConfig {
        global_size: SIDE as i32,
        local_size: SIDE as i32 / 2,
        patch_size: sizes.patch_size,
        ..Default::default()
    };
    let mut trainer = Trainer::new(&model, &training)?;
    for epoch in 0..STEPS {
        let views = Views::new(&context, &crops, &images, 0, epoch, 0)?; // one step an epoch, each with new crops of all
        println!("step {epoch:2}  loss {:.4}", trainer.step(&[&views])?.loss);
    }
    trainer.model(Role::Teacher)?.save("model.safetensors")?;

    let model = Model::load(&context, "model.safetensors", Role::Teacher)?;
    let batch = Array::new(&pixels, &[IMAGES, SIDE, SIDE, 3])?;
    let tokens = model.extract(&batch, Layout::Nhwc, &ExtractConfig::default())?;
    let cls: &[f32] = tokens.as_slice()?;
    println!("cls of {} images, {} numbers each", tokens.shape()[0], cls.len() / IMAGES);
    Ok(())
}
