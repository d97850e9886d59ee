//! Values that cannot be.

use super::{Config, Error, LastPhase, METHODS, nearest};

impl Config {
    pub(super) fn check(&self) -> Result<(), Error> {
        let fail = |key: &str, value: String, reason: &str| {
            Err(Error::Value { key: key.into(), value, reason: reason.into() })
        };
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            return fail(
                "name",
                format!("{:?}", self.name),
                "letters, digits, '-', '_' and '.' only: it names a folder",
            );
        }
        let (optimizer, protocol, intervention) = (&self.optimizer, &self.protocol, &self.intervention);
        let positive = [
            ("optimizer.lr", optimizer.lr),
            ("optimizer.eps", optimizer.eps),
            ("run.checkpoint_seconds", self.run.checkpoint_seconds),
        ];
        for (key, value) in positive {
            if !value.is_finite() || value <= 0.0 {
                return fail(key, value.to_string(), "it must be greater than 0");
            }
        }
        if self.run.checkpoint_seconds > 1e9 {
            return fail(
                "run.checkpoint_seconds",
                self.run.checkpoint_seconds.to_string(),
                "it must be at most 1e9",
            );
        }
        let shares = [
            ("optimizer.beta1", optimizer.beta1, 1.0 - f64::EPSILON),
            ("optimizer.beta2", optimizer.beta2, 1.0 - f64::EPSILON),
            ("optimizer.warmup", optimizer.warmup, 1.0),
            ("intervention.momentum", intervention.momentum, 1.0),
            ("intervention.keep", intervention.keep, 1.0),
        ];
        for (key, value, most) in shares {
            if !(0.0..=most).contains(&value) {
                let reason = if most < 1.0 { "it must be in [0, 1)" } else { "it must be in [0, 1]" };
                return fail(key, value.to_string(), reason);
            }
        }
        let not_negative = [
            ("optimizer.weight_decay", optimizer.weight_decay),
            ("optimizer.clip", optimizer.clip),
            ("intervention.weight_decay", intervention.weight_decay),
            ("intervention.perturb", intervention.perturb),
            ("intervention.spectral_strength", intervention.spectral_strength),
            ("intervention.distillation_strength", intervention.distillation_strength),
            ("intervention.regen_strength", intervention.regen_strength),
            ("intervention.redo_threshold", intervention.redo_threshold),
        ];
        for (key, value) in not_negative {
            if !value.is_finite() || value < 0.0 {
                return fail(key, value.to_string(), "it must not be negative");
            }
        }
        let counts = [
            ("optimizer.batch", optimizer.batch),
            ("protocol.base_epochs", protocol.base_epochs),
            ("protocol.evaluate_every", protocol.evaluate_every),
            ("intervention.reset_interval", intervention.reset_interval),
            ("intervention.redo_interval", intervention.redo_interval),
            ("intervention.redo_examples", intervention.redo_examples),
        ];
        for (key, value) in counts {
            if value == 0 {
                return fail(key, "0".into(), "it must be at least 1");
            }
        }
        if ![1, 2, 4].contains(&self.data.downsample) {
            return fail("data.downsample", self.data.downsample.to_string(), "it must be 1, 2 or 4");
        }
        let listed = |values: &[f64]| format!("{values:?}");
        let phases = protocol.ratios.len();
        let share = |(phase, ratio): (usize, &f64)| {
            let adds_nothing = *ratio == 0.0 && protocol.last_phase == LastPhase::Base;
            (1e-6..=1.0).contains(ratio) || (adds_nothing && phase > 0 && phase + 1 == phases)
        };
        if phases == 0 || !protocol.ratios.iter().enumerate().all(share) {
            return fail(
                "protocol.ratios",
                listed(&protocol.ratios),
                "one share in (0, 1] per phase is needed; the last of several may be 0 with protocol.last_phase = \
                 \"base\"",
            );
        }
        if protocol.ratios.iter().sum::<f64>() > 1.0 + 1e-9 {
            return fail(
                "protocol.ratios",
                listed(&protocol.ratios),
                "the shares must not sum to more than 1",
            );
        }
        if protocol.noise.len() != protocol.ratios.len()
            || protocol.noise.iter().any(|n| !(0.0..=1.0).contains(n))
        {
            return fail(
                "protocol.noise",
                listed(&protocol.noise),
                "one share in [0, 1] per phase is needed",
            );
        }
        if self.data.mean.iter().any(|mean| !mean.is_finite()) {
            return fail("data.mean", listed(&self.data.mean), "numbers are needed");
        }
        if self.data.mean.len() != self.data.std.len()
            || self.data.std.iter().any(|&std| !std.is_finite() || std <= 0.0)
        {
            return fail("data.std", listed(&self.data.std), "as many as data.mean, each greater than 0");
        }
        for method in self.methods() {
            if !METHODS.contains(&method) {
                let hint = nearest(method, METHODS.iter().copied());
                let reason = format!("'{method}' is none of none, {}{hint}", METHODS.join(", "));
                return fail("intervention.method", format!("{:?}", intervention.method), &reason);
            }
        }
        if self.has("hare-tortoise") && self.has("ema") {
            let reason = "hare-tortoise keeps the average that ema is: choose one";
            return fail("intervention.method", format!("{:?}", intervention.method), reason);
        }
        if let Err(message) = self.model.build() {
            return Err(Error::Value { key: "[model]".into(), value: "...".into(), reason: message });
        }
        Ok(())
    }
}
