//! `bench`: the virtual bench as a command.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::args::{BenchVerb, PutStage};
use crate::cli::context::env;
use crate::cli::show::print_line;
use crate::event::{Event, Outcome};
use crate::fault::{Code, Fault};
use crate::say::{self, Lang, Text};
use crate::virt::bench::{Bench, BenchError, environment};
use crate::virt::control::{self, Order};
use crate::virt::phone::Stage;
use crate::virt::spec::{BenchSpec, PhoneSpec};
use crate::virt::usb::usbip::Vhci;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

impl From<BenchError> for Fault {
    fn from(err: BenchError) -> Fault {
        let code = match &err {
            BenchError::Spec(_) | BenchError::Empty => Code::Usage,
            BenchError::Io(_) | BenchError::Firmware(_) => Code::BenchUnavailable,
        };
        Fault::new(code, err.to_string())
    }
}

/// `--dir`, else `HERSTEL_BENCH`, else a folder of this user. Socket paths are short: 107 bytes at most.
fn place(dir: Option<PathBuf>) -> PathBuf {
    dir.or_else(|| env("HERSTEL_BENCH").map(PathBuf::from)).unwrap_or_else(|| match env("XDG_RUNTIME_DIR") {
        Some(runtime) => Path::new(&runtime).join("herstel-bench"),
        None => std::env::temp_dir().join(format!("herstel-bench-{}", rustix::process::getuid().as_raw())),
    })
}

pub async fn run(verb: BenchVerb, dir: Option<PathBuf>, lang: Lang, json: bool) -> Done {
    let folder = place(dir);
    let socket = folder.join("control.sock");
    match verb {
        BenchVerb::Up { models, spec, image, vhci } => {
            let spec = read_spec(models, spec)?;
            up(&folder, spec, image, vhci, lang, json).await
        }
        BenchVerb::Run { program } => run_inside(&folder, &program),
        BenchVerb::Env => {
            for (key, value) in environment(&folder) {
                print_out(&format!("export {}={}", key.to_string_lossy(), quoted(&value.to_string_lossy())));
            }
            Ok(Outcome::Ok)
        }
        BenchVerb::Down => {
            ask(&socket, &Order::Down)?;
            say_line(&say::text(lang, &Text::BenchDown));
            Ok(Outcome::Ok)
        }
        BenchVerb::Status => {
            let status = ask(&socket, &Order::Status)?;
            if json {
                print_line(&status);
            } else {
                let phones = status.get("phones").and_then(Value::as_array).cloned().unwrap_or_default();
                for phone in phones {
                    let text = |key: &str| phone.get(key).map(plain).unwrap_or_default();
                    print_out(&format!(
                        "[virtual] {}  {}  {}  {}  {} ({})",
                        text("place"),
                        text("ecid"),
                        text("stage"),
                        text("model"),
                        text("version"),
                        text("build"),
                    ));
                }
            }
            Ok(Outcome::Ok)
        }
        BenchVerb::Memory { phone } => {
            let answer = ask(&socket, &Order::Memory { phone })?;
            for memo in answer.get("memory").and_then(Value::as_array).into_iter().flatten() {
                print_line(memo);
            }
            Ok(Outcome::Ok)
        }
        BenchVerb::Put { stage, phone } => {
            let stage = match stage {
                PutStage::Normal => Stage::Normal,
                PutStage::Recovery => Stage::Recovery,
                PutStage::Dfu => Stage::Dfu,
                PutStage::Off => Stage::Away,
            };
            print_line(&ask(&socket, &Order::Put { phone, stage })?);
            Ok(Outcome::Ok)
        }
        BenchVerb::Press { keys, phone } if keys.iter().any(|k| k == "-") => follow(&socket, phone),
        BenchVerb::Press { keys, phone } => {
            let answer = ask(&socket, &Order::Press { phone, script: keys.join(" ") })?;
            print_line(&answer);
            Ok(Outcome::Ok)
        }
    }
}

/// Does what a coach prints with `--json`, line by line, as it comes.
fn follow(socket: &Path, phone: usize) -> Done {
    for line in std::io::stdin().lines() {
        let line = line.map_err(|e| Fault::disk(&e))?;
        if let Ok(Event::Ask { request }) = serde_json::from_str::<Event>(&line) {
            ask(socket, &Order::Person { phone, request })?;
        }
        print_out(&line);
    }
    Ok(Outcome::Ok)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn ask(socket: &Path, order: &Order) -> Result<Value, Fault> {
    let gone = |e: std::io::Error| Fault::new(Code::BenchUnavailable, format!("{}: {e}", socket.display()));
    let answer = control::order(socket, order).map_err(gone)?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(Fault::new(Code::Usage, error)),
        None => Ok(answer),
    }
}

fn read_spec(models: Vec<String>, spec: Option<PathBuf>) -> Result<BenchSpec, Fault> {
    let mut bench_spec = match spec {
        Some(file) => {
            let text = fs_err::read_to_string(&file).map_err(|e| Fault::disk(&e))?;
            toml::from_str::<BenchSpec>(&text)
                .map_err(|e| Fault::new(Code::Usage, format!("{}: {e}", file.display())))?
        }
        None => BenchSpec::default(),
    };
    bench_spec.phones.extend(models.into_iter().map(|model| PhoneSpec { model, ..PhoneSpec::default() }));
    if bench_spec.phones.is_empty() {
        bench_spec.phones.push(PhoneSpec::default());
    }
    Ok(bench_spec)
}

async fn up(folder: &Path, spec: BenchSpec, image: u64, vhci: bool, lang: Lang, json: bool) -> Done {
    let no_controller = |e: std::io::Error| Fault::new(Code::UsbUnavailable, e.to_string());
    if vhci {
        Vhci::check().map_err(no_controller)?;
    }
    let place = folder.to_owned();
    let started = tokio::task::spawn_blocking(move || Bench::start(&place, spec, image << 20));
    let bench = started.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    let kernel = vhci.then(|| Vhci::start(&bench.phones)).transpose().map_err(no_controller)?;
    let no_signal = |e: std::io::Error| Fault::new(Code::Internal, e.to_string());
    let mut pressed = signal(SignalKind::interrupt()).map_err(no_signal)?;
    let mut term = signal(SignalKind::terminate()).map_err(no_signal)?;
    let (sender, down) = std::sync::mpsc::channel();
    control::serve(&folder.join("control.sock"), bench.phones.clone(), bench.emulation(), sender)
        .map_err(|e| Fault::new(Code::BenchUnavailable, e.to_string()))?;
    if json {
        let phones: Vec<_> = bench.phones.iter().map(|p| json!({ "ecid": p.ecid, "udid": p.udid })).collect();
        print_line(&json!({ "schema": 1, "event": "bench-up", "virtual": true, "folder": folder, "phones": phones }));
    } else {
        print_out(&say::text(lang, &Text::VirtualBanner));
        print_out(&say::text(lang, &Text::BenchUp { place: folder.display().to_string() }));
        for phone in &bench.phones {
            print_out(&format!("  {}  {}  {}", phone.model.name, phone.ecid, phone.udid));
        }
        print_out(&say::text(lang, &Text::BenchUse));
        print_out(&format!("  eval \"$(herstel bench env --dir {})\"", quoted(&folder.to_string_lossy())));
        print_out("  herstel list");
        print_out(&say::text(lang, &Text::BenchStops));
    }
    let down = tokio::task::spawn_blocking(move || down.recv());
    tokio::select! {
        _ = down => {}
        _ = pressed.recv() => {}
        _ = term.recv() => {}
    }
    drop(kernel);
    drop(bench);
    let _ = std::fs::remove_file(folder.join("control.sock"));
    Ok(Outcome::Ok)
}

/// Becomes the program, inside the bench's bus.
fn run_inside(folder: &Path, program: &[String]) -> Done {
    let answer = ask(&folder.join("control.sock"), &Order::Environment)?;
    let emulated = answer.get("environment").cloned().unwrap_or_default();
    let emulated: Vec<(String, String)> =
        serde_json::from_value(emulated).map_err(|e| Fault::new(Code::BenchUnavailable, e.to_string()))?;
    let Some((name, arguments)) = program.split_first() else {
        return Err(Fault::new(Code::Usage, "no program"));
    };
    let mut variables: Vec<(OsString, OsString)> = environment(folder);
    variables.extend(emulated.into_iter().map(|(k, v)| (k.into(), v.into())));
    let err = std::process::Command::new(name).args(arguments).envs(variables).exec();
    Err(Fault::new(Code::Usage, format!("{name}: {err}")))
}
