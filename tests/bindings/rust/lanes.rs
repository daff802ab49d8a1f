//! Threads, cancelling, and callbacks.
mod recipe;

use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

use udi::{Array, CancelHandle, Context, ContextConfig, ExtractConfig, Layout, Loader, LoaderConfig, LogLevel};
use udi::{Model, Progress, Status, Tensor, TrainConfig, Trainer, Views};

#[test]
fn send_and_sync_where_true() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<(Context, Model, Tensor, Views, Loader, Trainer)>();
    send::<(CancelHandle, Array, udi::Image, udi::Error)>();
    sync::<(CancelHandle, Tensor, Array, udi::Image, udi::Error)>();

    // Of a type that is Sync both implementations would be meant, which does not compile.
    trait Either<A> {
        fn one() {}
    }
    impl<T> Either<()> for T {}
    impl<T: Sync> Either<u8> for T {}
    <Context as Either<_>>::one();
    <Model as Either<_>>::one();
    <Views as Either<_>>::one();
    <Loader as Either<_>>::one();
    <Trainer as Either<_>>::one();
}

#[test]
fn two_contexts_in_two_threads() {
    let pixels = recipe::pixels();
    let work = || {
        let (context, images) = (recipe::context(), recipe::images(&pixels));
        let mut trainer = Trainer::new(&recipe::model(&context), &TrainConfig::default()).unwrap();
        let step = |epoch| trainer.step(&[&recipe::views(&context, &images, epoch).unwrap()]).unwrap().loss.to_bits();
        (0..3).map(step).collect::<Vec<_>>()
    };
    let alone = work();
    thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
fn threads_share_weights() {
    let (context, pixels) = (recipe::context(), recipe::pixels());
    let model = recipe::model(&context);
    let batch = model.prepare(&recipe::images(&pixels)).unwrap();
    let tokens = |model: &Model| model.extract(batch.array(), Layout::Nchw, &ExtractConfig::default()).unwrap();
    let expected = tokens(&model);
    let mut shared: Vec<_> = (0..2).map(|_| model.share(&recipe::context()).unwrap()).collect();
    drop((model, context));
    thread::scope(|scope| {
        let threads: Vec<_> = shared.drain(..).map(|model| scope.spawn(move || (tokens(&model), model))).collect();
        for thread in threads {
            let (found, model) = thread.join().unwrap();
            assert_eq!(found.as_slice::<f32>(), expected.as_slice::<f32>());
            shared.push(model);
        }
    });
    let name = shared[0].param_names().next().unwrap().to_string();
    let value = shared[0].param(&name).unwrap();
    assert_eq!(shared[0].set_param(&name, value.array()).unwrap_err().status, Status::State);
}

/// Until the thread that asks now and then whether the context is busy is not inside.
fn patiently<T>(mut work: impl FnMut() -> udi::Result<T>) -> udi::Result<T> {
    loop {
        match work() {
            Err(error) if error.status == Status::State => thread::yield_now(),
            done => return done,
        }
    }
}

#[test]
fn cancelling_ends_a_call_of_hours() {
    let (context, pixels) = (recipe::context(), recipe::pixels());
    let (model, cancel) = (recipe::model(&context), context.cancel_handle());
    let views = recipe::views(&context, &recipe::images(&pixels), 0).unwrap();
    let zeros = [0u8; 3 * 32 * 32];
    let endless = Array::strided(&zeros, &[10_000_000, 3, 32, 32], &[0, 1024, 32, 1]).unwrap();
    let extract = move |model: Model| {
        patiently(|| model.extract(&endless, Layout::Nchw, &ExtractConfig::default())).map(drop).unwrap_err()
    };
    thread::scope(|scope| {
        let worker = scope.spawn(|| extract(model));
        while !matches!(views.coords(), Err(error) if error.status == Status::State) {
            assert!(!worker.is_finished(), "the call did not last");
        }
        cancel.cancel();
        assert_eq!(worker.join().unwrap().status, Status::Cancelled);
    });
    assert_eq!(views.coords().unwrap_err().status, Status::Cancelled);
    context.clear_cancel();
    assert_eq!(views.coords().unwrap().shape(), [4, 8, 4]);
    cancel.cancel();
    cancel.clear();
    assert_eq!(views.coords().unwrap().shape(), [4, 8, 4]);
}

#[test]
fn cancelling_ends_a_training() {
    let (context, pixels) = (recipe::context(), recipe::pixels());
    let views = recipe::views(&context, &recipe::images(&pixels), 0).unwrap();
    let mut trainer = Trainer::new(&recipe::model(&context), &TrainConfig::default()).unwrap();
    let (cancel, (tell, told)) = (context.cancel_handle(), mpsc::channel());
    drop(context); // the handle keeps it
    let worker = thread::spawn(move || loop {
        match trainer.step(&[&views]) {
            Ok(stats) => drop(tell.send(stats.step)),
            Err(error) => return (error.status, trainer.steps()),
        }
    });
    assert_eq!((told.recv(), told.recv()), (Ok(0), Ok(1)));
    cancel.cancel();
    let (status, steps) = worker.join().unwrap();
    assert_eq!(status, Status::Cancelled);
    assert_eq!(told.iter().last().unwrap_or(1) + 1, steps, "the step that was cancelled did not count");
}

// ---- Jobs -------------------------------------------------------------------------------------------------------------

fn options(name: &str) -> String {
    format!(r#"{{"out": "{}/{name}", "train": 200, "test": 20}}"#, env!("CARGO_TARGET_TMPDIR"))
}

fn draw(context: &Context, name: &str, mut progress: impl FnMut(&Progress) -> ControlFlow<()>) -> udi::Result<String> {
    context.job_run("demo-data", &options(name), Some(&mut progress))
}

#[test]
fn a_job_tells_and_stops() {
    let context = recipe::context();
    let mut seen: Vec<Progress> = Vec::new();
    let result = draw(&context, "drawn", |now| {
        seen.push(now.clone());
        ControlFlow::Continue(())
    });
    assert!(result.unwrap().starts_with('{'));
    let last = seen.last().unwrap();
    assert!(last.done == last.total && last.total > 0 && !last.stage.is_empty(), "{last:?}");
    context.job_run("demo-data", &options("silent"), None).unwrap();

    let error = draw(&context, "broken", |_| ControlFlow::Break(())).unwrap_err();
    assert_eq!(error.status, Status::Callback);
    let error = context.job_run("demo-data", r#"{"no_such": 1}"#, None).unwrap_err();
    assert!(error.status == Status::Invalid && error.message.contains("no_such"), "{error}");
}

#[test]
fn a_panic_of_progress_goes_on_from_the_call() {
    let context = recipe::context();
    let mut calls = 0;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        draw(&context, "panicked", |_| {
            calls += 1;
            panic!("enough")
        })
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"enough"));
    assert_eq!(calls, 1);
    recipe::model(&context);
}

#[test]
fn cancelling_ends_a_job() {
    let context = recipe::context();
    let (cancel, (start, started), (done, cancelled)) = (context.cancel_handle(), mpsc::channel(), mpsc::channel());
    let canceller = thread::spawn(move || {
        started.recv().unwrap();
        cancel.cancel();
        done.send(()).unwrap();
    });
    let mut calls = 0;
    let error = draw(&context, "cancelled", |now| {
        assert!(now.done < now.total);
        calls += 1;
        start.send(()).unwrap();
        cancelled.recv().unwrap();
        ControlFlow::Continue(())
    });
    canceller.join().unwrap();
    assert_eq!((error.unwrap_err().status, calls), (Status::Cancelled, 1));
}

// ---- The log ----------------------------------------------------------------------------------------------------------

fn logging(log: impl FnMut(LogLevel, &str) + Send + 'static) -> Context {
    Context::with(ContextConfig { log_level: LogLevel::Debug, log: Some(Box::new(log)), ..Default::default() }).unwrap()
}

/// Views of a folder with two files that are no images, which are named in the log by a thread of the loader's.
fn meet_bad_images(context: Context, name: &str) -> Views {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("bad.jpg"), "no JPEG").unwrap();
    std::fs::write(folder.join("worse.jpg"), "no JPEG, either").unwrap();
    let picture = PathBuf::from(std::env::var_os("UDI_SOURCE").unwrap()).join("tests/data/image/png_rgb_8.png");
    std::fs::copy(picture, folder.join("good.png")).unwrap();
    let config = LoaderConfig { batch_size: 3, max_bad_percent: 100.0, ..Default::default() };
    let mut loader = Loader::open(&context, folder, &recipe::crops(), &config).unwrap();
    drop(context); // the log lives on
    loader.next().unwrap().unwrap()
}

#[test]
fn the_log_gets_lines() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let context = logging(move |level, line| sink.lock().unwrap().push((level, line.to_string())));
    assert_eq!(meet_bad_images(context, "logged").count(), 3);
    let lines = lines.lock().unwrap();
    for name in ["bad.jpg", "worse.jpg"] {
        let found = lines.iter().find(|(_, line)| line.contains(name)).expect("a line about each");
        assert!(found.0 == LogLevel::Warn && !found.1.ends_with('\n'), "{found:?}");
    }
}

#[test]
fn a_panic_of_the_log_goes_nowhere() {
    let calls = Arc::new(Mutex::new(0));
    let counted = calls.clone();
    let context = logging(move |_, _| {
        *counted.lock().unwrap() += 1;
        panic!("a full disk, perhaps");
    });
    assert_eq!(meet_bad_images(context, "panicked").count(), 3);
    assert_eq!(*calls.lock().unwrap(), 1, "called no more");
}
