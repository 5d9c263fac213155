//! Every program of the cookbook runs, and does what the cookbook says it does.

mod calling;
mod failover;
mod resilience;
#[cfg(unix)]
mod restart;
#[cfg(unix)]
mod running;
mod serving;
mod stacks;
mod tls;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// Cargo puts the examples beside the folder of this test.
fn program(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("this test is a file");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is not there: `cargo build --examples` first",
        path.display()
    );
    Command::new(path)
}

fn output(name: &str, args: &[&str]) -> Output {
    program(name).args(args).output().expect("it starts")
}

/// What a program printed, once it has ended well.
fn printed(name: &str, args: &[&str]) -> String {
    let output = output(name, args);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed\n{text}\n{errors}");
    text
}

/// What a program printed when it refused to run, and its exit code.
fn refused(name: &str, args: &[&str]) -> (String, Option<i32>) {
    let output = output(name, args);
    (
        String::from_utf8(output.stderr).expect("UTF-8"),
        output.status.code(),
    )
}

/// All of `parts`, in this order.
fn assert_contains(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("no `{part}` where it belongs in\n{text}"));
        rest = &rest[at + part.len()..];
    }
}
