//! Defaults, layers and mistakes.

use super::RunConfig;
use super::*;
use models::ResNetConfig;

fn resolve(sets: &[&str]) -> Result<Config, Error> {
    Config::resolve(&sets.iter().map(|set| parse_set(set).unwrap()).collect::<Vec<_>>())
}

/// Resolves the text of a file, with `--set`s over it.
fn resolve_file(text: &str, sets: &[&str]) -> Result<Config, Error> {
    let mut layers = vec![Layer::file("my.toml", text.parse().unwrap())];
    layers.extend(sets.iter().map(|set| parse_set(set).unwrap()));
    Config::resolve(&layers)
}

#[test]
fn fidelity_changes_defaults_and_only_defaults() {
    let [recommended, paper, code] = ["recommended", "paper", "code"].map(|fidelity| {
        let method = "intervention.method=hare-tortoise+regen+redo";
        resolve(&[&format!("fidelity={fidelity}"), method]).unwrap()
    });
    let hidden = |config: &Config| match &config.model {
        ModelConfig::Mlp(mlp) => mlp.hidden.clone(),
        model => panic!("{model:?} is no MLP"),
    };
    assert_eq!(hidden(&paper), [100, 100]);
    assert_eq!(paper.protocol.last_phase, LastPhase::Base);
    assert!(code.data.dither && !recommended.data.dither);
    assert_eq!(recommended.protocol.final_accuracy, FinalAccuracy::LastEpoch);
    let of = |config: &Config| {
        let intervention = &config.intervention;
        let hare_tortoise = intervention.hare_tortoise.as_ref().unwrap();
        (
            hare_tortoise.first_reset,
            hare_tortoise.reset_shares_memory,
            intervention.regen.as_ref().unwrap().form,
            intervention.redo.as_ref().unwrap().recycles,
        )
    };
    assert_eq!(of(&recommended), (FirstReset::AfterOne, false, RegenForm::Squared, true));
    assert_eq!(of(&paper), (FirstReset::AfterInterval, false, RegenForm::Squared, true));
    assert_eq!(of(&code), (FirstReset::AfterOne, true, RegenForm::LastTensors, false));
    let set = resolve(&["fidelity=paper", "model.hidden=[7]"]).unwrap();
    assert_eq!(hidden(&set), [7]);
}

#[test]
fn the_strengths_of_shrink_and_perturb_follow_its_variant_unless_they_are_set() {
    let strengths = |sets: &[&str]| {
        let method = ["intervention.method=shrink-perturb"];
        let intervention = resolve(&[&method, sets].concat()).unwrap().intervention;
        let options = intervention.shrink_perturb.unwrap();
        (options.keep, options.perturb)
    };
    assert_eq!(strengths(&[]), (0.2, 0.0));
    let ash_adams = "intervention.shrink-perturb.variant=ash-adams-2020";
    assert_eq!(strengths(&[ash_adams]), (0.4, 0.1));
    assert_eq!(strengths(&["intervention.shrink-perturb.variant=per-step"]), (0.9999, 1e-4));
    assert_eq!(strengths(&[ash_adams, "intervention.shrink-perturb.keep=0.5"]), (0.5, 0.1));
}

#[test]
fn a_resolved_config_survives_its_file() {
    let config =
        resolve(&["seed=9", "optimizer.lr=1", "protocol.ratios=[0.5, 0.5]", "protocol.noise=[0, 0]"])
            .unwrap();
    let again = resolve_file(&config.to_toml(), &[]).unwrap();
    assert_eq!(again, config);
    assert_eq!(again.run_id(), config.run_id());
    assert!(config.to_toml().starts_with("version = 2\n"));
}

#[test]
fn the_run_id_ignores_only_how_the_run_is_carried_out() {
    let id = |sets: &[&str]| resolve(sets).unwrap().run_id();
    assert_eq!(id(&[]), id(&["run.checkpoint_seconds=1"]));
    assert_ne!(id(&[]), id(&["optimizer.lr=0.002"]));
    let joined = id(&["intervention.method=ema+l2", "seed=4"]);
    assert_eq!(joined.strip_prefix("ema+l2-seed4-").unwrap().len(), 16, "{joined}");
    let mut config = resolve(&[]).unwrap();
    config.version += 1;
    assert_ne!(config.run_id(), id(&[]), "the version is part of the identity");
}

#[test]
fn what_is_spelt_in_several_ways_is_one_run() {
    let id = |sets: &[&str]| resolve(sets).unwrap().run_id();
    let method = |text: &str| id(&[&format!("intervention.method={text}")]);
    for text in ["l2+ema", "ema + l2", "none+ema+l2", "l2\t+ema", "'ema+l2'", "ema+l2+l2"] {
        assert_eq!(method(text), method("ema+l2"), "{text}");
    }
    for (one, other) in [
        ("optimizer.lr=.01", "optimizer.lr=1e-2"),
        ("optimizer.lr=1.", "optimizer.lr=1"),
        ("optimizer.batch=+64", "optimizer.batch=64"),
        ("optimizer.clip=-0.0", "optimizer.clip=0"),
        ("protocol.noise=[-0.0]", "protocol.noise=[0]"),
        ("protocol.ratios=[.5]", "protocol.ratios=[0.5]"),
        ("data.mean=[]", "data.std=[ ]"),
        ("name=2024", "name=\"2024\""),
        (" seed = 3", "seed=3"),
    ] {
        assert_eq!(id(&[one]), id(&[other]), "{one}");
    }
    assert_eq!(resolve(&["name=2024"]).unwrap().name, "2024");
    assert_eq!(resolve(&["seed=3", "seed=4"]).unwrap().seed, 4, "the last wins");
    let file = "[optimizer]\nclip = -0.0\n[intervention]\nmethod = \"\"\"\nl2\n+ ema\"\"\"\n";
    assert_eq!(
        resolve_file(file, &[]).unwrap().run_id(),
        id(&["intervention.method=ema+l2", "optimizer.clip=0"])
    );
}

#[test]
fn only_methods_that_take_part_have_keys() {
    let tables = |sets: &[&str]| -> Vec<String> {
        let keys = resolve(sets).unwrap().to_keys();
        let mut tables: Vec<_> = keys
            .keys()
            .filter_map(|key| Some(key.strip_prefix("intervention.")?.split_once('.')?.0.to_string()))
            .collect();
        tables.dedup();
        tables
    };
    assert_eq!(tables(&[]), [""; 0]);
    assert_eq!(tables(&["intervention.method=redo+hare-tortoise+head-reset"]), ["hare-tortoise", "redo"]);

    // A file is a base for several choices; one that chooses itself, and a --set, are not.
    let waiting = "[intervention.redo]\ninterval = 3\n";
    assert_eq!(resolve_file(waiting, &[]).unwrap(), resolve(&[]).unwrap());
    let redo = resolve_file(waiting, &["intervention.method=redo"]).unwrap();
    assert_eq!(redo.intervention.redo.unwrap().interval, 3);
    let chosen = format!("[intervention]\nmethod = \"l2\"\n{waiting}");
    let message = resolve_file(&chosen, &[]).unwrap_err().to_string();
    assert_eq!(
        message,
        "my.toml: intervention.redo.interval is set, but intervention.method = \"l2\" has no redo"
    );
    assert!(resolve_file(&chosen, &["intervention.method=ema"]).is_ok(), "chosen anew");
    // Whether it waits or not, it is checked.
    for (file, word) in [
        ("[intervention.redo]\ninterval = \"x\"\n", "a whole number"),
        ("[intervention.redo]\ninterval = 0\n", "at least 1"),
        ("[intervention.redo]\ninterwal = 3\n", "did you mean 'intervention.redo.interval'"),
        ("[intervention.regen]\nform = \"round\"\n", "intervention.regen.form"),
    ] {
        let message = resolve_file(file, &[]).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn a_config_of_another_version_is_refused() {
    assert_eq!(resolve_file("version = 2\n", &[]).unwrap(), resolve(&[]).unwrap());
    for (text, word) in
        [("version = 1\n", "which changed this: random draws"), ("version = 3\n", "knows version 2")]
    {
        let message = resolve_file(text, &[]).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn mistakes_are_named_with_their_key() {
    for (sets, words) in [
        (vec!["optimizer.learning_rate=1"], vec!["optimizer.learning_rate"]),
        (vec!["optimiser.lr=1"], vec!["'optimiser'", "did you mean 'optimizer'"]),
        (
            vec!["intervention.hare-tortoise.momentun=0.9"],
            vec!["did you mean 'intervention.hare-tortoise.momentum'"],
        ),
        (vec!["intervention.hare_tortoise.momentum=0.9"], vec!["did you mean 'intervention.hare-tortoise'"]),
        (
            vec!["intervention.momentum=0.9"],
            vec!["'intervention.momentum' is called 'intervention.hare-tortoise.momentum'"],
        ),
        (vec!["intervention.redo_interval=5"], vec!["called 'intervention.redo.interval' now"]),
        (vec!["intervention.redo.interval=5"], vec!["--set", "interval is set", "= \"none\" has no redo"]),
        (
            vec!["intervention.method=ema+self-distillation", "intervention.ema.momentum=0.9"],
            vec!["intervention.self-distillation.momentum = 0.999", "share one average", "ema.momentum, 0.9"],
        ),
        (vec!["optimizer.lr=fast"], vec!["optimizer.lr", "a text", "a number expected"]),
        (vec!["optimizer.batch=0"], vec!["optimizer.batch", "at least 1"]),
        (vec!["optimizer.batch=-1"], vec!["optimizer.batch", "a whole number -1", "at least 0"]),
        (vec!["optimizer.batch=1.5"], vec!["optimizer.batch", "a number 1.5", "a whole number"]),
        (vec!["protocol.ratios=[0.1, 0.9]"], vec!["protocol.noise", "per phase"]),
        (vec!["protocol.ratios=[0.6, 0.9]", "protocol.noise=[0,0]"], vec!["protocol.ratios", "sum"]),
        (vec!["protocol.ratios=[1, 0]", "protocol.noise=[0,0]"], vec!["protocol.ratios", "\"base\""]),
        (
            vec!["protocol.ratios=[0, 1]", "protocol.noise=[0,0]", "protocol.last_phase=base"],
            vec!["protocol.ratios"],
        ),
        (vec!["data.downsample=3"], vec!["data.downsample = 3", "1, 2 or 4"]),
        (vec!["intervention.method=hare-and-tortoise"], vec!["did you mean 'hare-tortoise'"]),
        (vec!["intervention.method=hare-tortoise+ema"], vec!["choose one"]),
        (
            vec!["intervention.shrink-perturb.variant=often"],
            vec!["intervention.shrink-perturb.variant", "per-step"],
        ),
        (vec!["intervention.regen.strength=-1"], vec!["intervention.regen.strength", "negative"]),
        (vec!["fidelity=exact"], vec!["fidelity", "recommended"]),
        (vec!["model.name=resnet"], vec!["model.name", "mlp"]),
        (vec!["model.dropout=1"], vec!["model.dropout"]),
        (vec!["model.hidden=[0]"], vec!["model.hidden"]),
        (vec!["model.hidden=[1.5]"], vec!["model.hidden", "whole numbers"]),
        (vec!["name=a/b"], vec!["name", "folder"]),
        (vec!["name=.."], vec!["name", "begin with a dot"]),
        (vec!["name=.x"], vec!["name", "begin with a dot"]),
        (vec!["name=x."], vec!["name", "end with a dot"]),
        (vec!["name="], vec!["name", "empty"]),
        (vec!["name=NUL"], vec!["name", "Windows"]),
        (vec!["seed=-1"], vec!["seed", "a whole number -1", "at least 0"]),
        (vec!["seed=nan"], vec!["seed", "a number nan", "whole number"]),
        (vec!["optimizer.lr=inf"], vec!["optimizer.lr = inf", "finite"]),
        (vec!["optimizer.lr=nan"], vec!["optimizer.lr = NaN", "finite"]),
        (vec!["optimizer.beta1=1"], vec!["optimizer.beta1", "[0, 1)"]),
        (vec!["data=3"], vec!["'data'", "a section"]),
        (vec!["protocol.noise_labels=some"], vec!["protocol.noise_labels = \"some\"", "other-classes"]),
        (vec!["seed=5000000000"], vec!["seed = 5000000000", "4294967295"]),
        (vec!["run.checkpoint_seconds=1e300"], vec!["run.checkpoint_seconds", "at most"]),
        (vec!["data.mean=[nan]", "data.std=[1]"], vec!["data.mean", "numbers"]),
        (vec!["model.hidden=[1000000000000]"], vec!["model.hidden", "32-bit"]),
    ] {
        let message = resolve(&sets).expect_err(&format!("{sets:?}")).to_string();
        for word in words {
            assert!(message.contains(word), "{sets:?}: {message}");
        }
    }
    for set in ["optimizer.lr", "optimizer.lr=1\nseed=2", "name=a\r"] {
        assert!(parse_set(set).unwrap_err().to_string().contains("expected"), "{set}");
    }
}

#[test]
fn a_model_alone_resolves_and_refuses_other_sections() {
    let (model, engine) = resolve_model("resnet18", &["model.width=8".into()]).unwrap();
    let width8 = ResNetConfig { width: 8, ..ResNetConfig::default() };
    assert_eq!((model, engine.winograd), (ModelConfig::ResNet18(width8), true));
    assert!(!resolve_model("vgg16", &["engine.winograd=false".into()]).unwrap().1.winograd);
    assert!(resolve_model("mlp", &["optimizer.lr=1".into()]).is_err());
    assert!(resolve_model("lenet", &[]).is_err());
}

#[test]
fn a_look_at_the_hessian_that_is_not_taken_leaves_no_trace() {
    let (without, zero) = (resolve(&[]).unwrap(), resolve(&["protocol.hessian_steps=0"]).unwrap());
    assert_eq!((&without, without.run_id()), (&zero, zero.run_id()));
    assert!(!without.to_toml().contains("hessian"));
    let twenty = resolve(&["protocol.hessian_steps=20"]).unwrap();
    assert_ne!(twenty.run_id(), without.run_id());
    let again = resolve_file(&twenty.to_toml(), &[]).unwrap();
    assert_eq!((&again, again.protocol.hessian_steps), (&twenty, 20));
    for wrong in ["1001", "-1", "1.5", "many"] {
        let message = resolve(&[&format!("protocol.hessian_steps={wrong}")]).unwrap_err().to_string();
        assert!(message.contains("protocol.hessian_steps"), "{message}");
    }
}

#[test]
fn a_kind_of_optimizer_has_its_own_keys_and_the_default_has_no_other_name() {
    let keys = |sets: &[&str]| -> Vec<String> {
        let keys = resolve(sets).unwrap().to_keys().into_keys();
        keys.filter_map(|key| Some(key.strip_prefix("optimizer.")?.to_string())).collect()
    };
    let shared = ["batch", "clip", "lr", "warmup", "weight_decay"];
    for (kind, own) in [
        ("adamw", &["beta1", "beta2", "eps"][..]),
        ("adam", &["beta1", "beta2", "eps", "kind"]),
        ("sgd", &["kind", "momentum"]),
        ("rmsprop", &["alpha", "centered", "eps", "kind"]),
    ] {
        let mut expected = [&shared[..], own].concat();
        expected.sort_unstable();
        assert_eq!(keys(&[&format!("optimizer.kind={kind}")]), expected);
    }
    // Runs that were named before there were kinds keep their names.
    let tiny =
        ["data.set=strokes", "model.hidden=[4]", "data.train=64", "data.test=16", "protocol.base_epochs=1"];
    for sets in [&[][..], &["optimizer.kind=adamw"], &["optimizer.eps_root=0"]] {
        assert_eq!(resolve(&[&tiny, sets].concat()).unwrap().run_id(), "none-seed1-07a44d6f714041a1");
    }
    assert!(keys(&["optimizer.eps_root=1e-3"]).contains(&"eps_root".to_string()));
    let sgd = resolve(&["optimizer.kind=sgd", "optimizer.momentum=0.9"]).unwrap();
    assert_eq!(resolve_file(&sgd.to_toml(), &[]).unwrap().run_id(), sgd.run_id());
    // What a file says of another kind waits; what is said of this one has an effect or is refused.
    let file = resolve(&[]).unwrap().to_toml();
    assert_eq!(resolve_file(&file, &["optimizer.kind=sgd"]).unwrap().optimizer.rule.beta1, None);
    for (file, sets, words) in [
        (
            "",
            &["optimizer.kind=sgd", "optimizer.beta1=0.5"][..],
            "--set optimizer.beta1=0.5: optimizer.beta1 is set, but optimizer.kind = \"sgd\" has no beta1",
        ),
        ("", &["optimizer.momentum=0.5"], "optimizer.kind = \"adamw\""),
        (
            "[optimizer]\nalpha = 0.5\n",
            &[],
            "my.toml: optimizer.alpha is set, but optimizer.kind = \"adamw\" has no alpha",
        ),
        ("[optimizer]\nkind = \"rmsprop\"\nbeta2 = 0.5\n", &[], "my.toml: optimizer.beta2 is set"),
        ("", &["optimizer.kind=sgdm"], "adamw, adam, sgd, rmsprop"),
        ("", &["optimizer.kind=3"], "adamw, adam, sgd, rmsprop"),
        ("", &["optimizer.kind=rmsprop", "optimizer.alpha=1"], "optimizer.alpha = 1"),
        ("", &["optimizer.kind=sgd", "intervention.method=optimizer-reset"], "nothing to reset"),
    ] {
        let message = resolve_file(file, sets).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn an_agent_has_kinds_of_optimizers_too() {
    let resolve = |sets: &[&str]| {
        AgentConfig::resolve(&sets.iter().map(|set| parse_set(set).unwrap()).collect::<Vec<_>>())
    };
    // Named before there were kinds.
    let tiny = [
        "environment.set=strokes",
        "agent.steps=40",
        "agent.capacity=32",
        "agent.learning_starts=32",
        "optimizer.batch=32",
        "model.hidden=[4]",
    ];
    for sets in [&[][..], &["optimizer.kind=adam"]] {
        assert_eq!(resolve(&[&tiny, sets].concat()).unwrap().run_id(), "none-seed1-71ede8537be75493");
    }
    let sgd = resolve(&["optimizer.kind=sgd"]).unwrap();
    assert_eq!((sgd.optimizer.rule.momentum, sgd.optimizer.rule.eps_root), (Some(0.0), None));
    let message = resolve(&["optimizer.kind=adamw"]).unwrap_err().to_string();
    assert!(message.contains("adam, sgd, rmsprop"), "{message}");
    let message = resolve(&["optimizer.kind=rmsprop", "optimizer.beta1=0.5"]).unwrap_err().to_string();
    assert!(message.contains("\"rmsprop\" has no beta1"), "{message}");
}
