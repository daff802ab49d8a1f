//! Nothing stays: bindings/README.md, "Leaks". A test of its own, so that nothing else runs meanwhile.
mod recipe;

use udi::Tensor;

fn round(pixels: &[u8], by_hand: bool) {
    let context = recipe::context();
    let model = recipe::model(&context);
    let views = recipe::views(&context, &recipe::images(pixels)[..2], 0).unwrap();
    let tensor = Tensor::from_vec(&context, vec![0.5f32; 30_000], &[3, 10_000]).unwrap();
    assert!(Tensor::from_vec(&context, vec![0.5f32; 30_000], &[3, 10_001]).is_err());
    let again = unsafe { Tensor::from_dlpack(&context, tensor.to_dlpack().unwrap()) }.unwrap();
    assert_eq!(views.count(), 2);
    if by_hand {
        drop(context);
        drop(tensor); // the other one has the memory still
        drop(model);
        drop(views);
    }
    assert_eq!(again.as_slice::<f32>().unwrap()[29_999], 0.5);
}

/// KiB
fn resident(pixels: &[u8], rounds: usize) -> i64 {
    for i in 0..rounds {
        round(pixels, i % 2 == 0);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_thousand_rounds_leave_memory_flat() {
    let pixels = recipe::pixels();
    let before = resident(&pixels, 100);
    let grown = resident(&pixels, 1000) - before;
    println!("1,000 rounds grew memory by {grown} KiB");
    assert!(grown < 8 * 1024, "1,000 rounds grew memory by {grown} KiB");
}
