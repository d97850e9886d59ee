//! `[intervention]`: which methods keep the network plastic, and a table of keys for each that takes part.
//!
//! A method is a line in `methods!` below, a file here for its keys, one in `interventions/` for what it does, and a page in
//! `docs/methods/`.

mod ema;
mod hare_tortoise;
mod head_reset;
mod l2;
mod methods;
mod old_keys;
mod optimizer_reset;
mod redo;
mod regen;
mod resets;
mod self_distillation;
mod shrink_perturb;
mod spectral_decoupling;

pub use ema::EmaOptions;
pub use hare_tortoise::HareTortoiseOptions;
pub use head_reset::HeadResetOptions;
pub use l2::L2Options;
pub use methods::Methods;
pub(super) use old_keys::new_name;
pub use optimizer_reset::OptimizerResetOptions;
pub use redo::RedoOptions;
pub use regen::{RegenForm, RegenOptions};
pub use resets::{FirstReset, ResetUnit};
pub use self_distillation::SelfDistillationOptions;
pub use shrink_perturb::{ShrinkPerturbOptions, ShrinkPerturbVariant};
pub use spectral_decoupling::{SpectralDecouplingOptions, SpectralForm};

use super::{Error, Fidelity};
use report::Family;
use serde::{Deserialize, Serialize};
use toml::Table;

/// The keys of one method: `[intervention.NAME]`.
trait Options {
    /// The values as published, under a fidelity (`docs/fidelity.md`). `given` are the keys that are set, on which others
    /// may depend.
    fn defaults(fidelity: Fidelity, given: &Table) -> Self;

    /// Refuses values that cannot be.
    fn check(&self) -> Result<(), Error>;
}

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident, $name:literal, $short:literal, $family:ident, $field:ident: $options:ty;)*) => {
        /// A method that keeps the network plastic. The order is that of the names in `intervention.method`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Method {
            $($(#[$doc])* $method,)*
        }

        impl Method {
            /// All methods.
            pub const ALL: &[Self] = &[$(Self::$method),*];

            /// Its name in configs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$method => $name),* }
            }

            /// Its name in tables, the paper's where it has one.
            pub fn short(self) -> &'static str {
                match self { $(Self::$method => $short),* }
            }

            /// Its kind.
            pub fn family(self) -> Family {
                match self { $(Self::$method => Family::$family),* }
            }
        }

        /// Which methods take part, and the keys of each: those of the others are absent.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Intervention {
            /// The methods.
            pub method: Methods,
            $(
                $(#[$doc])*
                #[serde(rename = $name, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$options>,
            )*
        }

        impl Intervention {
            /// No method, but the keys of all. `given` is what is set of `[intervention]`.
            pub(super) fn defaults(fidelity: Fidelity, given: &Table) -> Self {
                let none = Table::new();
                let of = |name: &str| given.get(name).and_then(toml::Value::as_table).unwrap_or(&none);
                Self {
                    method: Methods::default(),
                    $($field: Some(<$options>::defaults(fidelity, of($name))),)*
                }
            }

            /// Checks the keys of all methods, and leaves out those of methods that do not take part.
            pub(super) fn checked(mut self) -> Result<Self, Error> {
                $(
                    if let Some(options) = &self.$field {
                        options.check()?;
                    }
                    if !self.method.has(Method::$method) {
                        self.$field = None;
                    }
                )*
                self.check_together()?;
                Ok(self)
            }
        }
    };
}

methods! {
    /// A network that is reset to its average, which predicts.
    HareTortoise, "hare-tortoise", "H&T", Averaging, hare_tortoise: HareTortoiseOptions;
    /// An average of the network, which predicts.
    Ema, "ema", "EMA", Averaging, ema: EmaOptions;
    /// Weights made smaller, and others added.
    ShrinkPerturb, "shrink-perturb", "SnP", Reinitialisation, shrink_perturb: ShrinkPerturbOptions;
    /// A head that begins each phase anew.
    HeadReset, "head-reset", "HR", Reinitialisation, head_reset: HeadResetOptions;
    /// An optimiser that begins anew within a phase.
    OptimizerReset, "optimizer-reset", "OR", Reinitialisation, optimizer_reset: OptimizerResetOptions;
    /// Stronger weight decay.
    L2, "l2", "L2", Generalisation, l2: L2Options;
    /// A penalty on logits.
    SpectralDecoupling, "spectral-decoupling", "Spectral", Trainability, spectral_decoupling: SpectralDecouplingOptions;
    /// An average of the network that teaches it.
    SelfDistillation, "self-distillation", "SD", Averaging, self_distillation: SelfDistillationOptions;
    /// A penalty on the distance from the first weights.
    Regen, "regen", "Regen", Trainability, regen: RegenOptions;
    /// Dormant units that are drawn anew.
    Redo, "redo", "ReDo", Trainability, redo: RedoOptions;
}

impl Intervention {
    /// Share that the average keeps of itself in a step, if a method keeps an average. Those that do share it.
    pub fn momentum(&self) -> Option<f64> {
        self.momenta().first().map(|(_, momentum)| *momentum)
    }

    fn momenta(&self) -> Vec<(Method, f64)> {
        [
            self.hare_tortoise.as_ref().map(|options| (Method::HareTortoise, options.momentum)),
            self.ema.as_ref().map(|options| (Method::Ema, options.momentum)),
            self.self_distillation.as_ref().map(|options| (Method::SelfDistillation, options.momentum)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Refuses methods that cannot take part together.
    fn check_together(&self) -> Result<(), Error> {
        if self.method.has(Method::HareTortoise) && self.method.has(Method::Ema) {
            return Err(Error::Value {
                key: "intervention.method".into(),
                value: format!("{:?}", self.method.to_string()),
                reason: "hare-tortoise keeps the average that ema is: choose one".into(),
            });
        }
        if let [(first, expected), (second, momentum)] = self.momenta()[..]
            && expected != momentum
        {
            return Err(Error::Value {
                key: format!("intervention.{}.momentum", second.name()),
                value: momentum.to_string(),
                reason: format!(
                    "{first} and {second} share one average: it must equal intervention.{first}.momentum, {expected}",
                    first = first.name(),
                    second = second.name()
                ),
            });
        }
        Ok(())
    }
}
