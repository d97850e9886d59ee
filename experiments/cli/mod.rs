//! The command line: one file per subcommand. Exit status 0 is success, 1 failure, 2 misuse, 130 a stop that was asked
//! for (the run can be resumed).

mod bench;
mod curvature;
mod data;
mod demo;
mod devices;
mod inspect;
mod presets;
mod progress;
mod report;
pub mod run;
pub mod step;
mod sweep;

use clap::{Args, CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Trains neural networks from scratch and measures their loss of plasticity.
#[derive(Debug, Parser)]
#[command(name = "ht", version, max_term_width = 110)]
#[command(after_help = "Start here:  ht demo\n\
    Then:        ht run warm-start-strokes --set intervention.method=hare-tortoise\n\
    \x20            ht report runs\n\n\
    Exit status: 0 success, 1 failure, 2 misuse, 130 stopped by a signal (start again to resume).")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare fresh training with three ways of warm starting on built-in colour images, in about a minute
    Demo(demo::DemoArgs),
    /// Run, resume or skip an experiment
    Run(run::RunArgs),
    /// Run a whole sweep: methods, grids and seeds from one file, several runs at once
    Sweep(sweep::SweepArgs),
    /// Tables and learning curves of finished runs
    Report(report::ReportArgs),
    /// The gradient covariance of a run's network: how the gradients of single examples lie to each other
    Curvature(curvature::CurvatureArgs),
    /// List the presets, or print one
    Presets(presets::PresetsArgs),
    /// List, fetch and check data sets
    Data(data::DataArgs),
    /// List the devices and say which one `auto` takes
    #[command(after_help = "Example:  ht devices")]
    Devices,
    /// Show every launch of a training step
    Inspect(inspect::InspectArgs),
    /// Time the full training step of a model
    Bench(bench::BenchArgs),
    /// Train a few steps on one batch and write what happened, to compare with another implementation
    Step(step::StepArgs),
    /// Print shell completions
    #[command(after_help = "Example:  ht completions bash > ~/.local/share/bash-completion/completions/ht")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where to compute.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// auto, cpu, gpu, or a part of an adapter's name (`ht devices` lists them)
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub device: String,
    /// Threads of the CPU device; 0 takes one per processor. Results do not depend on it
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true)]
    pub threads: usize,
}

impl DeviceArgs {
    /// Opens the device.
    ///
    /// # Errors
    /// No such device, or one that cannot be used.
    pub fn open(&self) -> anyhow::Result<engine::Device> {
        use anyhow::Context;
        let hint = "`ht devices` lists the devices, --device cpu is always there";
        match engine::Device::open(&self.device, self.threads) {
            // What is wrong with threads or an instruction set, another device does not mend.
            Err(error @ engine::Error::Cpu(_)) => Err(error.into()),
            opened => opened.context(hint),
        }
    }
}

/// Marks that a run was stopped by a signal and saved.
#[derive(Debug, thiserror::Error)]
#[error("stopped; the same command resumes")]
pub(crate) struct Stopped;

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    // A layer of Mesa otherwise prints "error: XDG_RUNTIME_DIR ..." where there is no desktop.
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Report(args) => report::run(args),
        Command::Curvature(args) => curvature::run(args),
        Command::Presets(args) => presets::run(args),
        Command::Data(args) => data::run(args),
        Command::Devices => devices::run(),
        Command::Inspect(args) => inspect::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Step(args) => step::run(args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "ht", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Not println!: a closed stderr is no reason to panic.
            let _ = writeln!(std::io::stderr(), "error: {}", message(&error));
            ExitCode::from(status(&error))
        }
    }
}

/// The names of all commands.
pub fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_string()).collect()
}

/// Whether these words, the program's name first, are a command line: for the examples in documents. One that is not
/// `complete` may lack what the command requires. The presets, sweeps and keys that it names must exist, too.
///
/// # Errors
/// What the program would say.
pub fn check(words: &[String], complete: bool) -> Result<(), String> {
    use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument};
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => return Ok(()),
        Err(error) => {
            let lacks =
                [DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument].contains(&error.kind());
            return if lacks && !complete { Ok(()) } else { Err(error.to_string()) };
        }
    };
    let checked = match &cli.command {
        Command::Run(args) => run::check(args),
        Command::Sweep(args) => sweep::check(args),
        _ => Ok(()),
    };
    checked.map_err(|error| message(&error))
}

/// The error and its causes, without those that the text before already names.
fn message(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| match cause.to_string() {
        cause if text.is_empty() => cause,
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}

/// Nobody reads on, as in `ht presets | head -1`: no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn status(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<Stopped>() {
            return 130;
        }
        if is_misuse(cause) {
            return 2;
        }
    }
    1
}

/// Whether an error tells of what was asked for, not of what happened.
fn is_misuse(cause: &(dyn std::error::Error + 'static)) -> bool {
    let of_engine = |error: &engine::Error| {
        use engine::Error::{Cpu, NoSuchDevice, Weights};
        matches!(error, NoSuchDevice { .. } | Cpu(_) | Weights { .. })
    };
    let of_run = |error: &crate::Error| match error {
        crate::Error::Config(_) | crate::Error::Mismatch(_) => true,
        crate::Error::Engine(error) => of_engine(error),
        crate::Error::Data(error) => error.is_misuse(),
        _ => false,
    };
    cause.is::<crate::config::Error>()
        || cause.downcast_ref().is_some_and(|error| !matches!(error, crate::sweep::Error::Run(_)))
        || cause.downcast_ref().is_some_and(of_engine)
        || cause.downcast_ref().is_some_and(::data::Error::is_misuse)
        || matches!(cause.downcast_ref(), Some(::report::Error::OutIsNoFolder { .. }))
        || cause.downcast_ref().is_some_and(of_run)
}

/// A flag that SIGINT, SIGTERM, SIGUSR1, SIGHUP and SIGXCPU (a limit on processor time) set. A second Ctrl-C ends the
/// process at once. Under `nohup` SIGHUP stays ignored. SIGXFSZ (a limit on file sizes) becomes the error of the write.
///
/// # Errors
/// The system refuses the handlers.
pub(crate) fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    let stop = Arc::new(AtomicBool::new(false));
    flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&stop))?;
    flag::register(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGTERM, Arc::clone(&stop))?;
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGUSR1};
        flag::register(SIGUSR1, Arc::clone(&stop))?;
        flag::register(libc::SIGXCPU, Arc::clone(&stop))?;
        flag::register(libc::SIGXFSZ, Arc::default())?;
        if !is_ignored(SIGHUP) {
            flag::register(SIGHUP, Arc::clone(&stop))?;
        }
    }
    Ok(stop)
}

/// Whether this process was started with a signal ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: a null action changes nothing; the present one is written to memory that it fits.
    unsafe {
        let mut now = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Tells what a person should know that is no error; a closed stderr is no reason to stop.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// Prints to standard output; a closed pipe is an error, not a panic.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use anyhow::Context;
    let mut out = std::io::stdout().lock();
    let mut write = || {
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    write().context("cannot write to standard output")
}

/// Bytes as a person reads them.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", n as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", n as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("ht {}", command.get_name())), "{}", command.get_name());
        }
    }
}
