//! LoRA files of other tools through `atelier sample`: whatever they call the layers, the same numbers paint the same; what
//! cannot be used is said by its name.

mod support;

use atelier_core::weights::{Precision, TensorValues, write_tensors};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use support::{atelier, error_of, succeed};
use tempfile::TempDir;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../atelier-core/tests/fixtures/pipelines");

/// A layer of the UNet, of 16 by 16 channels.
const LAYER: &str = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q";

/// A folder with LoRAs for one of the tiny models.
struct Loras {
    folder: TempDir,
    model: String,
}

impl Loras {
    fn of(model: &str) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), model: format!("{FIXTURES}/{model}") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes the file `name` with these keys.
    fn write(&self, name: &str, tensors: &[(String, TensorValues)]) -> String {
        let tensors: BTreeMap<String, TensorValues> = tensors.iter().cloned().collect();
        let bytes = write_tensors(&tensors, Precision::F32, &BTreeMap::new()).expect("a file");
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, bytes).expect("written");
        path.display().to_string()
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let out = self.text("pictures");
        let sample =
            ["sample", "--model", &self.model, "--prompt", "a boat", "--steps", "2", "--size", "16x16"];
        [&sample[..], &["--device", "cpu", "--out", &out], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// The final latents, to the bit.
    fn latents(&self, more: &[&str]) -> Vec<u8> {
        let file = self.text("latents.safetensors");
        let arguments = self.arguments(&[&["--save-latents", &file], more].concat());
        succeed(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        fs::read(file).expect("latents")
    }

    /// Exit code and message.
    fn refused(&self, more: &[&str]) -> (Option<i32>, String) {
        let arguments = self.arguments(more);
        error_of(&mut atelier(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    #[track_caller]
    fn assert_refused(&self, lora: &str, code: i32, parts: &[&str]) {
        let (found, message) = self.refused(&["--lora", lora]);
        assert_eq!(found, Some(code), "{message}");
        for part in parts {
            assert!(message.contains(part), "no {part:?} in: {message}");
        }
    }
}

/// Numbers around zero.
fn matrix(rows: usize, columns: usize) -> TensorValues {
    let values = (0..rows * columns).map(|index| ((index * 37 % 101) as f32 - 50.0) / 100.0).collect();
    TensorValues::new(vec![rows, columns], values).expect("a matrix")
}

fn number(value: f32) -> TensorValues {
    TensorValues::new(vec![], vec![value]).expect("a number")
}

/// Both matrices of a layer of `size` by `size` channels, with rank 4.
fn pair(stem: &str, suffixes: [&str; 2], size: usize) -> Vec<(String, TensorValues)> {
    let [down, up] = suffixes.map(|suffix| format!("{stem}{suffix}"));
    vec![(down, matrix(4, size)), (up, matrix(size, 4))]
}

const PEFT: [&str; 2] = [".lora_A.weight", ".lora_B.weight"];
const KOHYA: [&str; 2] = [".lora_down.weight", ".lora_up.weight"];
const DIFFUSERS: [&str; 2] = [".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"];
const OLD: [&str; 2] = ["_lora.down.weight", "_lora.up.weight"];

#[track_caller]
fn paint_alike(loras: &Loras, size: usize, names: &[(&str, [&str; 2])]) {
    let plain = loras.latents(&[]);
    let mut expected = None;
    for (stem, suffixes) in names {
        let file = loras.write("lora.safetensors", &pair(stem, *suffixes, size));
        let latents = loras.latents(&["--lora", &file]);
        assert!(latents != plain, "{stem} changes nothing");
        let expected = expected.get_or_insert_with(|| latents.clone());
        assert!(latents == *expected, "{stem} {suffixes:?} paints something else");
    }
}

#[test]
fn names_of_text_encoders_are_read_alike() {
    paint_alike(
        &Loras::of("sd"),
        12,
        &[
            ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", PEFT),
            ("text_encoder.encoder.layers.0.self_attn.q_proj", PEFT),
            ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", DIFFUSERS),
            ("text_encoder.text_model.encoder.layers.0.self_attn.to_q", OLD),
            ("text_encoder.encoder.layers.0.self_attn.to_q", OLD),
            ("base_model.model.text_model.encoder.layers.0.self_attn.q_proj", PEFT),
            ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", KOHYA),
            ("lora_te1_encoder_layers_0_self_attn_q_proj", KOHYA),
        ],
    );
}

#[test]
fn names_of_unets_are_read_alike() {
    let flat = LAYER.replace('.', "_");
    let old = LAYER.replace("attn1.to_q", "attn1.processor.to_q");
    paint_alike(
        &Loras::of("sd"),
        16,
        &[
            (&format!("unet.{LAYER}"), PEFT),
            (LAYER, PEFT),
            (&format!("unet.base_model.model.{LAYER}"), PEFT),
            (&format!("unet.{old}"), OLD),
            (&old, OLD),
            (&format!("lora_unet_{flat}"), KOHYA),
            ("lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q", KOHYA),
            ("diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q", KOHYA),
        ],
    );
}

#[test]
fn names_of_flux_are_read_alike() {
    let layer = "transformer_blocks.0.attn.to_out.0";
    paint_alike(
        &Loras::of("flux"),
        16,
        &[
            (&format!("transformer.{layer}"), PEFT),
            (&format!("base_model.model.{layer}"), PEFT),
            (&format!("transformer.base_model.model.{layer}"), PEFT),
            (&format!("diffusion_model.{layer}"), PEFT),
            (layer, PEFT),
            ("lora_transformer_transformer_blocks_0_attn_to_out_0", KOHYA),
            ("lora_unet_transformer_blocks_0_attn_to_out_0", KOHYA),
            ("lora_unet_double_blocks_0_img_attn_proj", KOHYA),
            ("diffusion_model.double_blocks.0.img_attn.proj", PEFT),
            ("double_blocks.0.processor.proj_lora1", [".down.weight", ".up.weight"]),
        ],
    );
}

#[test]
fn names_of_sd3_are_read_alike() {
    paint_alike(
        &Loras::of("sd3"),
        16,
        &[
            ("transformer.transformer_blocks.0.attn.to_out.0", PEFT),
            ("transformer_blocks.0.attn.to_out.0", KOHYA),
            ("lora_unet_joint_blocks_0_x_block_attn_proj", KOHYA),
            ("diffusion_model.joint_blocks.0.x_block.attn.proj", PEFT),
        ],
    );
}

#[test]
fn peft_keeps_the_strength_beside_the_file() {
    let loras = Loras::of("sd");
    let tensors = pair(&format!("base_model.model.{LAYER}"), PEFT, 16);
    let file = loras.write("peft/adapter_model.safetensors", &tensors);
    let config = |text: &str| fs::write(loras.path("peft/adapter_config.json"), text).expect("written");
    let with_alpha = |alpha: f32| {
        let alpha = [(format!("base_model.model.{LAYER}.alpha"), number(alpha))];
        loras.latents(&["--lora", &loras.write("alpha/lora.safetensors", &[&tensors[..], &alpha].concat())])
    };
    config(r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 32, "use_rslora": false}"#);
    let expected = with_alpha(32.0);
    assert!(loras.latents(&["--lora", &file]) == expected);
    assert!(loras.latents(&["--lora", &loras.text("peft")]) == expected);
    assert!(loras.latents(&["--lora", &format!("{}:0.5", loras.text("peft"))]) == with_alpha(16.0));
    // 16 / sqrt(4) is 32 / 4.
    config(r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 16, "use_rslora": true}"#);
    assert!(loras.latents(&["--lora", &file]) == expected);
    config(r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 4, "alpha_pattern": {"attn1.to_q": 32}}"#);
    assert!(loras.latents(&["--lora", &file]) == expected);
    for (text, part) in [
        (r#"{"peft_type": "LOKR", "r": 4}"#, "LOKR"),
        (r#"{"r": 4, "use_dora": true}"#, "DoRA"),
        (r#"{"r": 8, "lora_alpha": 8}"#, "belongs to another file"),
        ("{", "cannot be read"),
    ] {
        config(text);
        loras.assert_refused(&file, 1, &["adapter_model.safetensors", "adapter_config.json", part]);
    }
}

#[test]
fn files_that_are_no_lora_are_recognised() {
    let loras = Loras::of("sd");
    let stem = format!("unet.{LAYER}");
    let with = |key: &str| {
        let tensors = [pair(&stem, PEFT, 16), vec![(format!("{stem}.{key}"), matrix(16, 1))]].concat();
        loras.write("with.safetensors", &tensors)
    };
    for (key, kind) in [
        ("lora_magnitude_vector", "DoRA"),
        ("lora_B.bias", "bias terms"),
        ("hada_w1_a", "LoHa"),
        ("lokr_w1", "LoKr"),
    ] {
        loras.assert_refused(&with(key), 1, &["with.safetensors", key, kind, "not supported"]);
    }
    let half = loras.write("half.safetensors", &pair(&stem, PEFT, 16)[..1]);
    loras.assert_refused(&half, 1, &["half.safetensors", &format!("{stem}.lora_A.weight"), "lora_B"]);
    let embedding = loras.write("embedding.safetensors", &[("emb_params".to_owned(), matrix(2, 12))]);
    loras.assert_refused(&embedding, 1, &["embedding.safetensors", "textual inversion"]);
    let empty = loras.write("empty.safetensors", &[]);
    loras.assert_refused(&empty, 1, &["empty.safetensors", "there is no LoRA in the file"]);
    let second =
        loras.write("second.safetensors", &pair("lora_te2_encoder_layers_0_self_attn_q_proj", KOHYA, 12));
    loras.assert_refused(
        &second,
        1,
        &["second.safetensors", "a second text encoder, which this model lacks"],
    );
    // A LoRA for FLUX says nothing of text encoders.
    let flux = loras.write("flux.safetensors", &pair("lora_unet_double_blocks_0_img_attn_proj", KOHYA, 16));
    let (_, message) = loras.refused(&["--lora", &flux]);
    assert!(message.contains("for another model") && message.contains("double_blocks"), "{message}");
    assert!(!message.contains("text encoder"), "{message}");
    assert!(!loras.path("pictures").exists(), "nothing is painted");
}

#[test]
fn paths_and_scales_are_told_apart() {
    let loras = Loras::of("sd");
    let tensors = pair(&format!("unet.{LAYER}"), PEFT, 16);
    let names = ["a.safetensors", "a:0.5.safetensors", "v1:2", "ma lora é.safetensors"];
    let expected = loras.latents(&["--lora", &loras.write(names[0], &tensors)]);
    let half = loras.latents(&["--lora", &format!("{}:0.5", loras.text(names[0]))]);
    assert!(expected != half);
    for name in &names[1..] {
        let file = loras.write(name, &tensors);
        assert!(loras.latents(&["--lora", &file]) == expected, "{name}");
        assert!(loras.latents(&["--lora", &format!("{file}:0.5")]) == half, "{name}");
        for wrong in ["nan", "inf", "0,8", "", "strong"] {
            loras.assert_refused(&format!("{file}:{wrong}"), 2, &["is no scale", &format!("{file}:0.8")]);
        }
    }
}

#[test]
fn folders_say_what_is_in_them() {
    let loras = Loras::of("sd");
    let refused =
        |folder: &str, parts: &[&str]| loras.assert_refused(folder, 1, &[&[folder], parts].concat());
    refused(&loras.text("nowhere"), &["there is no such file or folder"]);
    fs::create_dir(loras.path("empty")).expect("made");
    refused(&loras.text("empty"), &["pytorch_lora_weights.safetensors", "adapter_model.safetensors"]);
    refused(&loras.model, &["a model, not a LoRA", "--model"]);
    refused(&format!("{}/unet", loras.model), &["is no key of a plain LoRA", "the weights of a UNet"]);
    let tensors = pair(&format!("unet.{LAYER}"), PEFT, 16);
    let expected = loras.latents(&["--lora", &loras.write("one/any name.safetensors", &tensors)]);
    assert!(loras.latents(&["--lora", &loras.text("one")]) == expected);
    loras.write("one/another.safetensors", &tensors);
    refused(&loras.text("one"), &["another.safetensors, any name.safetensors"]);
    loras.write("one/pytorch_lora_weights.safetensors", &tensors);
    assert!(loras.latents(&["--lora", &loras.text("one")]) == expected);
    loras.write("above/unet/adapter_model.safetensors", &tensors);
    refused(&loras.text("above"), &["unet"]);
    checkpoint(&loras.path("run/checkpoint-000010"));
    for checkpoint in ["run/checkpoint-000010", "run/checkpoint-000010/model.safetensors"] {
        refused(&loras.text(checkpoint), &["a checkpoint of a training run"]);
    }
    refused(&loras.text("run"), &["checkpoint-000010", "--resume"]);
    // The other way round: a LoRA as a model.
    let words = ["sample", "--model", &loras.text("one"), "--prompt", "a boat", "--device", "cpu"];
    let (code, message) = error_of(&mut atelier(&words));
    assert!(code == Some(2) && message.contains("is a LoRA: name it with --lora"), "{code:?} {message}");
}

/// What tells a checkpoint from other folders.
fn checkpoint(folder: &Path) {
    fs::create_dir_all(folder).expect("made");
    for name in ["state.json", "model.safetensors"] {
        fs::write(folder.join(name), "{}").expect("written");
    }
}
