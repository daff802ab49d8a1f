//! The program of bindings/README.md in Rust: prints what tests/bindings/semantics.c prints.
mod recipe;

use udi::{ExtractConfig, Layout, Role, Token, TrainConfig, Trainer};

fn fnv1a(data: &[u8]) -> u64 {
    data.iter().fold(14695981039346656037, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(1099511628211))
}

fn main() -> udi::Result<()> {
    let pixels = recipe::pixels();
    let images = recipe::images(&pixels);
    println!("api {}", udi::library()?.interface.fingerprint);
    let context = recipe::context();
    let config = TrainConfig { total_steps: 3, warmup_steps: 0, seed: 3, ..Default::default() };
    let mut trainer = Trainer::new(&recipe::model(&context), &config)?;
    for step in 0..3 {
        let stats = trainer.step(&[&recipe::views(&context, &images, step)?])?;
        println!("step {step} loss {:016x}", stats.loss.to_bits());
    }
    let model = trainer.model(Role::Teacher)?;
    let config = ExtractConfig { token: Token::Both, ..Default::default() };
    let tokens = model.extract(model.prepare(&images)?.array(), Layout::Nchw, &config)?;
    let bytes: Vec<u8> = tokens.as_slice::<f32>()?.iter().flat_map(|value| value.to_ne_bytes()).collect();
    println!("tokens {} {} {:016x}", tokens.shape()[0], tokens.shape()[1], fnv1a(&bytes));
    Ok(())
}
