//! Tells the linker where libudi is: in the folder UDI_LIB_DIR, or where pkg-config says.
use std::{env, process::Command};

fn main() {
    for name in ["UDI_LIB_DIR", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let flags = match env::var("UDI_LIB_DIR") {
        Ok(folder) => format!("-L{folder} -ludi"),
        Err(_) => pkg_config(),
    };
    for flag in flags.split_whitespace() {
        match (flag.strip_prefix("-L"), flag.strip_prefix("-l")) {
            (Some(folder), _) => println!("cargo:rustc-link-search=native={folder}"),
            (_, Some(library)) => println!("cargo:rustc-link-lib=dylib={library}"),
            _ => println!("cargo:rustc-link-arg={flag}"), // for the programs of this package alone
        }
    }
}

fn pkg_config() -> String {
    match Command::new("pkg-config").args(["--libs", "libudi"]).output() {
        Ok(found) if found.status.success() => String::from_utf8(found.stdout).expect("pkg-config prints UTF-8"),
        Ok(found) => missing(&String::from_utf8_lossy(&found.stderr)),
        Err(why) => missing(&format!("pkg-config: {why}")),
    }
}

fn missing(why: &str) -> ! {
    eprintln!("{why}\nlibudi was not found: install it, or set UDI_LIB_DIR to the folder of libudi.so");
    std::process::exit(1)
}
