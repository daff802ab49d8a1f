//! Images in, tokens out; weights; views; image sets; training that goes on.
mod recipe;

use std::path::PathBuf;
use std::process::Command;

use udi::{
    Array, Attention, AttentionConfig, Crops, Dtype, ExtractConfig, Group, GroupConfig, Image, Layout, Loader,
    LoaderConfig, Model, Role, Status, Tensor, Token, TrainConfig, Trainer, Views,
};

fn pictures() -> PathBuf {
    PathBuf::from(std::env::var_os("UDI_SOURCE").unwrap()).join("tests/data/image")
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn images_to_tokens() {
    let (context, pixels) = (recipe::context(), recipe::pixels());
    let model = recipe::model(&context);
    let file = std::fs::read(pictures().join("png_rgb_8.png")).unwrap();
    let mut images = recipe::images(&pixels);
    images.push(Image::encoded(&file));
    let batch = model.prepare(&images).unwrap();
    assert_eq!((batch.shape(), batch.dtype()), (vec![9, 3, 32, 32], Dtype::U8));
    let deep: Vec<u16> = pixels.iter().map(|&pixel| u16::from(pixel) * 257).collect();
    let deep = model.prepare(&[Image::pixels(&deep[..48 * 48 * 3], 48, 48, 3)]).unwrap();
    assert_eq!((deep.shape(), deep.dtype()), (vec![1, 3, 32, 32], Dtype::F32));

    let both = ExtractConfig { token: Token::Both, normalize: 1, ..Default::default() };
    let tokens = model.extract(batch.array(), Layout::Nchw, &both).unwrap();
    assert_eq!(tokens.shape(), [9, 48]);
    for row in tokens.as_slice::<f32>().unwrap().chunks(48) {
        assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let planes = batch.as_slice::<u8>().unwrap();
    let last: Vec<u8> = (0..planes.len()).map(|i| planes[i / 3072 * 3072 + i % 3 * 1024 + i / 3 % 1024]).collect();
    let last = Tensor::from_vec(&context, last, &[9, 32, 32, 3]).unwrap();
    let turned = Array::strided(planes, &[9, 32, 32, 3], &[3072, 32, 1, 1024]).unwrap();
    for array in [last.array(), &turned] {
        let same = model.extract(array, Layout::Nhwc, &both).unwrap();
        assert_eq!(same.as_slice::<f32>(), tokens.as_slice::<f32>());
    }
    let asks = AttentionConfig { source: Attention::Srs, patch_row: 1, ..Default::default() };
    let maps = model.attention(batch.array(), Layout::Nchw, &asks).unwrap();
    assert_eq!(maps.shape(), [9, 3, 4, 4]);
    assert!(maps.as_slice::<f32>().unwrap().iter().all(|&share| share > 0.0));
}

#[test]
fn weights() {
    let context = recipe::context();
    let mut model = recipe::model(&context);
    let names: Vec<String> = model.param_names().map(String::from).collect();
    let sizes = names.iter().map(|name| model.param(name).unwrap().as_slice::<f32>().unwrap().len());
    assert_eq!(sizes.sum::<usize>() as i64, model.info().unwrap().num_parameters);
    let shape = model.param(&names[3]).unwrap().shape();
    let value: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
    model.set_param(&names[3], &Array::new(&value, &shape).unwrap()).unwrap();
    assert_eq!(model.param(&names[3]).unwrap().as_slice::<f32>().unwrap(), value);
    model.save(path("weights.safetensors")).unwrap();
    let loaded = Model::load(&context, path("weights.safetensors"), Role::Teacher).unwrap();
    drop(context);
    assert_eq!(loaded.param(&names[3]).unwrap().as_slice::<f32>().unwrap(), value);
    let (config, asked) = (loaded.config().unwrap(), recipe::sizes());
    assert_eq!((config.embed_dim, config.mean, config.mlp_ratio), (24, asked.mean, asked.mlp_ratio));
}

#[test]
fn views_of_ones_own() {
    let (context, pixels) = (recipe::context(), recipe::pixels());
    let images = recipe::images(&pixels);
    let views = recipe::views(&context, &images, 0).unwrap();
    let (global, local) = (views.global_crops().unwrap(), views.local_crops().unwrap());
    let coords = views.coords().unwrap();
    assert_eq!((global.shape(), local.shape()), (vec![2, 8, 3, 32, 32], vec![2, 8, 3, 16, 16]));
    let mask: Vec<u8> = (0..8 * 16).map(|i| u8::from(i % 16 < 4)).collect();
    let mut crops = Crops {
        global: global.array().clone(),
        local: Some(local.array().clone()),
        coords: coords.array().clone(),
        sample_global: Array::new(&mask, &[8, 16]).unwrap(),
        sample_local: Some(Array::strided(&mask, &[8, 4], &[16, 1]).unwrap()),
    };
    let again = Views::from_arrays(&context, &recipe::crops(), &crops).unwrap();
    assert_eq!(again.local_crops().unwrap().as_slice::<u8>(), local.as_slice::<u8>());
    let mut trainer = Trainer::new(&recipe::model(&context), &TrainConfig::default()).unwrap();
    assert!(trainer.step(&[&views, &again]).unwrap().loss > 0.0);

    (crops.local, crops.sample_local) = (None, None);
    assert!(Views::from_arrays(&context, &recipe::crops(), &crops).is_err());
    crops.coords = Array::new(&coords.as_slice::<f32>().unwrap()[..2 * 8 * 4], &[2, 8, 4]).unwrap();
    let alone = udi::ViewConfig { local_crops: 0, ..recipe::crops() };
    assert_eq!(Views::from_arrays(&context, &alone, &crops).unwrap().count(), 8);
    let half = Views::new(&context, &recipe::crops(), &images[4..], 7, 0, 4).unwrap().coords().unwrap();
    assert_eq!(half.as_slice::<f32>().unwrap()[..16], coords.as_slice::<f32>().unwrap()[16..32]);
}

#[test]
fn a_training_goes_on_to_the_bit() {
    let context = recipe::context();
    let config = LoaderConfig { batch_size: 4, max_bad_percent: 100.0, ..Default::default() };
    let open = || Loader::open(&context, pictures(), &recipe::crops(), &config).unwrap();
    let training = TrainConfig { total_steps: 9, lr: 1e-3, ..Default::default() };
    let (mut loader, mut trainer) = (open(), Trainer::new(&recipe::model(&context), &training).unwrap());
    assert!(loader.images() > 40 && loader.steps_per_epoch() == loader.images() / 4);
    let mut losses = Vec::new();
    for views in loader.by_ref().take(2) {
        losses.push(trainer.step(&[&views.unwrap()]).unwrap().loss);
    }
    trainer.save(path("run.safetensors"), Some(&loader)).unwrap();
    for views in loader.by_ref().take(2) {
        losses.push(trainer.step(&[&views.unwrap()]).unwrap().loss);
    }
    assert_eq!((trainer.steps(), loader.position()), (4, 4));

    let mut loader = open();
    let mut trainer = Trainer::load(&context, path("run.safetensors"), Some(&mut loader)).unwrap();
    assert_eq!((trainer.steps(), loader.position()), (2, 2));
    for loss in &losses[2..] {
        let stats = trainer.step(&[&loader.next().unwrap().unwrap()]).unwrap();
        assert_eq!(stats.loss, *loss);
        assert!(stats.center_norm.iter().all(|norm| norm.is_finite()));
    }
    loader.seek(0).unwrap();
    assert_eq!(loader.position(), 0);
}

#[test]
fn an_archive_beyond_memory_goes_to_the_folder() {
    let context = recipe::context();
    let archive = path("pictures.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&archive).arg("-C").arg(pictures()).arg("png_rgb_8.png");
    assert!(tar.status().unwrap().success());
    let open = |folder: &str| {
        let config =
            LoaderConfig { batch_size: 1, max_cache_bytes: 0, cache_dir: Some(path(folder)), ..Default::default() };
        Loader::open(&context, &archive, &recipe::crops(), &config)
    };
    assert_eq!(open("").unwrap().images(), 1);
    let error = open("no such folder").unwrap_err();
    assert!(error.message.contains("no such folder"), "{error}");
}

#[test]
fn a_group_of_one_changes_nothing() {
    let (context, pixels) = (recipe::context(), recipe::pixels());
    let views = recipe::views(&context, &recipe::images(&pixels), 0).unwrap();
    let new = || Trainer::new(&recipe::model(&context), &TrainConfig::default()).unwrap();
    let group = Group::new(&context, &GroupConfig { rank: 0, world: 1, ..Default::default() }).unwrap();
    assert_eq!((group.rank(), group.world()), (0, 1));
    let mut joined = new();
    joined.join(&group).unwrap();
    drop(group); // the trainer keeps it
    assert_eq!(joined.step(&[&views]).unwrap().loss, new().step(&[&views]).unwrap().loss);
}

#[test]
fn a_group_that_does_not_meet() {
    let context = recipe::context();
    let config = GroupConfig { rank: 1, world: 2, port: 1, timeout: 0.1, ..Default::default() };
    let nowhere = GroupConfig { address: Some("nowhere.invalid".into()), ..config };
    let error = Group::new(&context, &nowhere).unwrap_err();
    assert!(error.status == Status::Io && error.message.contains("nowhere.invalid"), "{error}");
    let error = Group::new(&context, &GroupConfig { rank: 2, ..nowhere }).unwrap_err();
    assert!(error.status == Status::Invalid && error.message.contains("rank"), "{error}");
}
