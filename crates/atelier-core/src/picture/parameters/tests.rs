use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What a reader finds.
#[derive(Debug, Default, PartialEq)]
struct Found {
    prompt: String,
    negative_prompt: String,
    pairs: BTreeMap<String, String>,
}

/// The web UI's `parse_generation_parameters`, without what it adds for its own settings.
fn parse(text: &str) -> Found {
    let mut lines: Vec<&str> = text.trim().split('\n').collect();
    let mut pairs = Vec::new();
    if let Some(last) = lines.pop() {
        pairs = parse_pairs(last);
        if pairs.len() < 3 {
            lines.push(last);
            pairs.clear();
        }
    }
    let mut found = Found::default();
    let mut in_negative = false;
    for line in lines {
        let mut line = line.trim();
        if let Some(rest) = line.strip_prefix("Negative prompt:") {
            in_negative = true;
            line = rest.trim();
        }
        let part = if in_negative { &mut found.negative_prompt } else { &mut found.prompt };
        if !part.is_empty() {
            part.push('\n');
        }
        part.push_str(line);
    }
    for (key, value) in pairs {
        let is_quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
        let unquoted = if is_quoted { serde_json::from_str(&value).unwrap_or(value) } else { value };
        found.pairs.insert(key, unquoted);
    }
    found
}

/// All matches, one after the other, of `\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)`.
fn parse_pairs(line: &str) -> Vec<(String, String)> {
    let characters: Vec<char> = line.chars().collect();
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let skip = |mut at: usize, skipped: &dyn Fn(char) -> bool| {
        while characters.get(at).is_some_and(|&character| skipped(character)) {
            at += 1;
        }
        at
    };
    let matched = |start: usize| -> Option<(usize, String, String)> {
        let from = skip(start, &char::is_whitespace);
        let colon = skip(from, &|character| is_word(character) || " -/".contains(character));
        if characters.get(colon) != Some(&':') || colon < from + 2 || !is_word(characters[from]) {
            return None;
        }
        let value = skip(colon + 1, &char::is_whitespace);
        let mut end = quoted_end(&characters, value).unwrap_or(characters.len() + 1);
        if !matches!(characters.get(end), Some(',')) && end != characters.len() {
            end = skip(value, &|character| character != ',');
        }
        let text = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
        Some((end + 1, text(from, colon), text(value, end)))
    };
    let (mut at, mut pairs) = (0, Vec::new());
    while at < characters.len() {
        match matched(at) {
            Some((next, key, value)) => {
                pairs.push((key, value));
                at = next;
            }
            None => at += 1,
        }
    }
    pairs
}

/// Where a text in quotes ends that begins at `start`.
fn quoted_end(characters: &[char], start: usize) -> Option<usize> {
    if characters.get(start) != Some(&'"') {
        return None;
    }
    let mut at = start + 1;
    loop {
        match characters.get(at)? {
            '"' if at > start + 1 => return Some(at + 1),
            '"' => return None,
            '\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn options() -> PaintingOptions {
    PaintingOptions {
        negative_prompt: String::new(),
        steps: 20,
        guidance_scale: 2.5,
        true_cfg_scale: 1.0,
        scheduler: SchedulerKind::Ddim,
    }
}

fn parameters<'a>(
    prompt: &'a str,
    options: &'a PaintingOptions,
    models: &'a ModelNames,
) -> GenerationParameters<'a> {
    GenerationParameters {
        prompt,
        options,
        is_distilled: false,
        clip_skip: 0,
        seed: 7,
        size: [64, 48],
        models,
        initial_latents: None,
    }
}

fn lora(name: &str, strength: f64, hash: &str) -> LoraUse {
    LoraUse { name: name.to_owned(), strength, hash: hash.to_owned() }
}

#[test]
fn everything_that_paints_the_picture_again_is_there() {
    let models = ModelNames {
        model: "sd15".to_owned(),
        base: Some("whole".to_owned()),
        loras: vec![lora("style", 0.7, "00112233aabb"), lora("light", -1.0, "ffeeddccbbaa")],
        negative_model: Some("npo".to_owned()),
    };
    let latents =
        InitialLatents { file: "noise.safetensors".to_owned(), hash: "0123456789ab".to_owned(), row: 2 };
    let options = PaintingOptions { negative_prompt: "fog".to_owned(), ..options() };
    let text = GenerationParameters {
        clip_skip: 1,
        initial_latents: Some(&latents),
        ..parameters("a boat", &options, &models)
    };
    assert_eq!(
        text.to_string(),
        "a boat <lora:style:0.7> <lora:light:-1>\nNegative prompt: fog\nSteps: 20, Sampler: DDIM, CFG scale: 2.5, \
         Seed: 7, Size: 64x48, Model: sd15, Base model: whole, Clip skip: 2, Negative model: npo, Initial latents: \
         noise.safetensors, Initial latents hash: 0123456789ab, Initial latents row: 2, Lora hashes: \"style: \
         00112233aabb, light: ffeeddccbbaa\""
    );
}

#[test]
fn parameters_are_those_that_other_programs_read() {
    let models = ModelNames { model: "painter".to_owned(), ..ModelNames::default() };
    let scheduler = SchedulerKind::DpmSolverMultistep;
    let plain = PaintingOptions { scheduler, ..options() };
    let line = "Steps: 20, Sampler: DPM++ 2M, CFG scale: 2.5, Seed: 7, Size: 64x48, Model: painter";
    let prompt = "a seascape at sunset";
    assert_eq!(parameters(prompt, &plain, &models).to_string(), format!("{prompt}\n{line}"));
    let negative = PaintingOptions { negative_prompt: "muddy colour".to_owned(), ..plain };
    let expected = format!("{prompt}\nNegative prompt: muddy colour\n{line}");
    assert_eq!(parameters(prompt, &negative, &models).to_string(), expected);
    let distilled = GenerationParameters { is_distilled: true, ..parameters(prompt, &negative, &models) };
    assert!(distilled.to_string().contains("CFG scale: 1, Distilled CFG Scale: 2.5, Seed: 7"));
}

#[test]
fn names_that_a_tag_cannot_hold_are_told_exactly_beside_it() {
    let models = ModelNames {
        model: "oil, thick: \"v2\"".to_owned(),
        loras: vec![lora("a:b", 1.0, "00"), lora("a,b", 0.5, "11"), lora("a:b", 0.25, "00")],
        ..ModelNames::default()
    };
    let options = options();
    let found = parse(&parameters("boat", &options, &models).to_string());
    assert_eq!(found.prompt, "boat <lora:a_b:1> <lora:a_b_2:0.5> <lora:a_b:0.25>");
    assert_eq!(found.pairs["Model"], models.model);
    assert_eq!(found.pairs["Lora hashes"], "a_b: 00, a_b_2: 11, a_b: 00");
    assert_eq!(found.pairs["Lora names"], r#"["a:b","a,b","a:b"]"#);
}

#[test]
fn a_prompt_that_looks_like_parameters_stays_a_prompt() {
    let options = PaintingOptions { negative_prompt: "mist\nNegative prompt: rain".to_owned(), ..options() };
    let models = ModelNames { model: "painter".to_owned(), ..ModelNames::default() };
    let prompt = "Negative prompt: fog\nSteps: 5, Sampler: Heun, CFG scale: 9\r\n Negative prompt: haze";
    let text = parameters(prompt, &options, &models).to_string();
    let found = parse(&text);
    assert_eq!(
        found.prompt,
        "Negative prompt : fog\nSteps : 5, Sampler: Heun, CFG scale: 9\nNegative prompt : haze"
    );
    assert_eq!(found.negative_prompt, "mist\nNegative prompt : rain");
    assert_eq!((found.pairs["Steps"].as_str(), found.pairs["Sampler"].as_str()), ("20", "DDIM"));
    assert_eq!(text.matches("\nSteps:").count(), 1, "readers that look for the first line find ours");
}

#[test]
fn the_reader_of_these_tests_reads_as_the_web_ui_does() {
    let found = parse(
        "a, b: c\nNegative prompt: d\ne\nSteps: 20, Note: \"x, \\\"y\\\": z\", Odd: \"half, Model: m:n",
    );
    let pairs = [("Steps", "20"), ("Note", "x, \"y\": z"), ("Odd", "\"half"), ("Model", "m:n")];
    assert_eq!((found.prompt.as_str(), found.negative_prompt.as_str()), ("a, b: c", "d\ne"));
    assert_eq!(found.pairs, pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

/// Names of files, more often than not with what readers look for.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{1,12}", "[a-z,:\"\\\\<> ]{1,12}", "\\PC{1,8}"]
}

/// Prompts of several lines, some of which look like parameters.
fn prompt() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "\\PC{0,20}",
        Just("Negative prompt: x".to_owned()),
        Just("Steps: 1, Sampler: y, CFG scale: 2, Seed: 3".to_owned()),
        Just(String::new()),
    ];
    prop::collection::vec(line, 0..4).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn readers_find_what_was_written(
        (prompt, negative_prompt) in (prompt(), prompt()),
        (model, negative_model, file) in (name(), name(), name()),
        loras in prop::collection::vec((name(), -2.0..2.0_f64, "[0-9a-f]{12}"), 0..3),
        (seed, steps, clip_skip, row) in (any::<u64>(), 1..1000_usize, 0..12_usize, 0..9_usize),
    ) {
        let models = ModelNames {
            model,
            base: None,
            loras: loras.iter().map(|(name, strength, hash)| lora(name, *strength, hash)).collect(),
            negative_model: Some(negative_model),
        };
        let options = PaintingOptions { negative_prompt, steps, ..options() };
        let latents = InitialLatents { file, hash: "0123456789ab".to_owned(), row };
        let written = GenerationParameters {
            seed,
            clip_skip,
            initial_latents: Some(&latents),
            ..parameters(&prompt, &options, &models)
        };
        let found = parse(&written.to_string());
        let pair = |key: &str| found.pairs.get(key).map(String::as_str);
        prop_assert_eq!(pair("Model"), Some(models.model.as_str()));
        prop_assert_eq!(pair("Negative model"), models.negative_model.as_deref());
        prop_assert_eq!(pair("Initial latents"), Some(latents.file.as_str()));
        prop_assert_eq!(pair("Initial latents row").map(str::to_owned), Some(row.to_string()));
        prop_assert_eq!(pair("Seed").map(str::to_owned), Some(seed.to_string()));
        prop_assert_eq!(pair("Steps").map(str::to_owned), Some(steps.to_string()));
        prop_assert_eq!(pair("Sampler"), Some("DDIM"));
        let skip = (clip_skip + 1).to_string();
        prop_assert_eq!(pair("Clip skip"), (clip_skip > 0).then_some(skip.as_str()));
        // Blank lines before the first word are lost, nothing else.
        let expected = as_prompt(&options.negative_prompt);
        prop_assert_eq!(&found.negative_prompt, &expected);
        let mut rest = found.prompt.strip_prefix(as_prompt(&prompt).as_str()).expect("the prompt comes first");
        let names = models.tag_names();
        let hashes: Vec<String> = pair("Lora hashes").map_or_else(Vec::new, |list| list.split(", ").map(str::to_owned).collect());
        prop_assert_eq!(hashes.len(), loras.len());
        for ((name, lora), hash) in names.iter().zip(&models.loras).zip(&hashes) {
            let tag = format!("<lora:{name}:{}>", lora.strength);
            rest = rest.trim_start().strip_prefix(tag.as_str()).expect("a tag");
            prop_assert_eq!(tag.matches([':', '<', '>']).count(), 4, "{}", tag);
            prop_assert_eq!(hash, &format!("{name}: {}", lora.hash));
        }
        prop_assert_eq!(rest, "");
        let exact: Vec<String> = match pair("Lora names") {
            Some(json) => serde_json::from_str(json).expect("JSON"),
            None => names,
        };
        prop_assert_eq!(exact, loras.into_iter().map(|(name, ..)| name).collect::<Vec<_>>());
    }
}
