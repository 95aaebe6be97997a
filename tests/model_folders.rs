//! Sound model folders as people have them: variants of the weights, tensors that nobody needs, notes of other programs, the
//! hub's cache; and what is said of everything else that is given as `--model`.

mod support;

use atelier_core::weights::{Precision, TensorValues};
use serde_json::json;
use std::{fs, path::Path};
use support::{
    atelier, error_of,
    tiny_model::{TEXT_ENCODER, Tensors, TinyModel, UNET, assert_says},
};

/// What the names of a UNet's weights begin with.
const STEM: &str = "unet/diffusion_pytorch_model";

/// Latents of the model as it is.
fn plain() -> Vec<f32> {
    TinyModel::new("sd").paints().0
}

#[test]
fn the_variant_that_is_there_is_read() {
    let plain = plain();
    for variant in ["non_ema", "fp32", "bf16"] {
        let model = TinyModel::new("sd");
        fs::rename(model.path(UNET), model.path(&format!("{STEM}.{variant}.safetensors"))).expect("renamed");
        let (latents, said) = model.paints();
        assert!(latents == plain && said.is_empty(), "{variant}: {said}");
    }
    let text = TinyModel::new("sd");
    fs::rename(text.path(TEXT_ENCODER), text.path("text_encoder/model.fp16.safetensors")).expect("renamed");
    assert_eq!(text.paints().0, plain);

    // The plain file wins over a variant, and of variants one is said to be taken.
    let several = TinyModel::new("sd");
    let zeros = several.tensors(UNET).into_iter().map(|(name, values)| {
        let zero = TensorValues::new(values.shape().to_vec(), vec![0.0; values.values().len()]);
        (name, zero.expect("it fits"))
    });
    several.write(&format!("{STEM}.bf16.safetensors"), &zeros.collect(), Precision::F32);
    let (latents, said) = several.paints();
    assert!(latents == plain && said.is_empty(), "{said}");
    fs::rename(several.path(UNET), several.path(&format!("{STEM}.fp16.safetensors"))).expect("renamed");
    let (latents, said) = several.paints();
    assert_eq!(latents, plain);
    assert_says(&said, &["unet: there are the variants bf16, fp16", "fp16 is taken"]);
}

#[test]
fn shards_are_read_under_all_names() {
    let plain = plain();
    for (index, shards) in [
        (".safetensors.index.json", ["-00001-of-00002.safetensors", "-00002-of-00002.safetensors"]),
        (
            ".safetensors.index.fp16.json",
            [".fp16-00001-of-00002.safetensors", ".fp16-00002-of-00002.safetensors"],
        ),
        (
            ".safetensors.fp16.index.json",
            ["-00001-of-00002.fp16.safetensors", "-00002-of-00002.fp16.safetensors"],
        ),
    ] {
        let model = TinyModel::new("sd");
        let mut first = model.tensors(UNET);
        let middle = first.keys().nth(first.len() / 2).expect("tensors").clone();
        let second = first.split_off(&middle);
        let mut map = serde_json::Map::new();
        for (shard, tensors) in shards.iter().zip([&first, &second]) {
            model.write(&format!("{STEM}{shard}"), tensors, Precision::F32);
            let file = format!("diffusion_pytorch_model{shard}");
            map.extend(tensors.keys().map(|name| (name.clone(), file.clone().into())));
        }
        fs::remove_file(model.path(UNET)).expect("removed");
        fs::write(model.path(&format!("{STEM}{index}")), json!({"weight_map": map}).to_string())
            .expect("written");
        assert_eq!(model.paints().0, plain, "{index}");
    }
}

#[test]
fn tensors_that_nobody_needs_are_left_out() {
    let plain = plain();
    let one = TensorValues::new(vec![1], vec![1.0]).expect("it fits");
    // A whole CLIP, with the prefix that transformers has had until version 5, in double the files' usual names.
    let clip = TinyModel::new("sd");
    let mut tensors: Tensors = clip
        .tensors(TEXT_ENCODER)
        .into_iter()
        .map(|(name, values)| (format!("text_model.{}", name.trim_start_matches("text_model.")), values))
        .collect();
    for name in [
        "text_model.embeddings.position_ids",
        "vision_model.encoder.layers.0.mlp.fc1.weight",
        "visual_projection.weight",
        "text_projection.weight",
        "logit_scale",
    ] {
        tensors.insert(name.to_owned(), one.clone());
    }
    clip.write(TEXT_ENCODER, &tensors, Precision::F32);
    let config = fs::read_to_string(clip.path("text_encoder/config.json")).expect("a configuration");
    let whole = json!({"model_type": "clip", "projection_dim": 7, "vision_config": {},
        "text_config": serde_json::from_str::<serde_json::Value>(&config).expect("JSON")});
    fs::write(clip.path("text_encoder/config.json"), whole.to_string()).expect("written");
    let (latents, said) = clip.paints();
    assert!(latents == plain && said.is_empty(), "{said}");

    let unet = TinyModel::new("sd");
    let mut tensors = unet.tensors(UNET);
    tensors.insert("optimization_step".to_owned(), one.clone());
    unet.write(UNET, &tensors, Precision::F32);
    let (latents, said) = unet.paints();
    assert!(latents == plain && said.is_empty(), "{said}");
    tensors.insert("mid_block.attentions.0.extra".to_owned(), one);
    unet.write(UNET, &tensors, Precision::F32);
    let (latents, said) = unet.paints();
    assert_eq!(latents, plain);
    assert_says(&said, &[UNET, "no place for 1 of the tensors", "mid_block.attentions.0.extra"]);
}

#[test]
fn notes_of_other_programs_change_nothing() {
    let plain = plain();
    for keys in [
        json!({"_use_default_values": ["dropout"], "_name_or_path": "x", "model_type": "base", "sample_size": [8, 8],
            "only_cross_attention": [false, false], "attention_head_dim": [2, 2], "upcast_attention": null,
            "use_linear_projection": null}),
        json!({"dropout": 0.1, "torch_dtype": "float16", "conv_in_kernel": 3.0}),
    ] {
        let model = TinyModel::new("sd");
        model.set("unet/config.json", keys.clone());
        let (latents, said) = model.paints();
        assert!(latents == plain && said.is_empty(), "{keys}: {said}");
    }
    let model = TinyModel::new("sd");
    model.set("unet/config.json", json!({"comment": "trained by me"}));
    model.spoil("vae/config.json", |json| [b"\xef\xbb\xbf", &json[..]].concat());
    let (latents, said) = model.paints();
    assert_eq!(latents, plain);
    assert_says(&said, &["UNet2DConditionModel has no `comment`"]);
    assert_eq!(said.matches("comment").count(), 1, "it is said once: {said}");
}

#[test]
fn statistics_of_latents_are_used_as_in_diffusers() {
    let (model, neutral) = (TinyModel::new("sdxl"), TinyModel::new("sdxl"));
    let statistics =
        |mean: f64, deviation: f64| json!({"latents_mean": vec![mean; 4], "latents_std": vec![deviation; 4]});
    neutral.set("vae/config.json", statistics(0.0, 1.0));
    model.set("vae/config.json", statistics(1.5, 3.0));
    let picture = |model: &TinyModel| {
        model.paints();
        let pictures = model.path("pictures").read_dir().expect("a folder").flatten();
        let pictures: Vec<Vec<u8>> =
            pictures.map(|entry| fs::read(entry.path()).expect("a picture")).collect();
        image::load_from_memory(&pictures[0]).expect("a PNG").to_rgb8()
    };
    let plain = picture(&TinyModel::new("sdxl"));
    assert_eq!(picture(&neutral), plain);
    assert_ne!(picture(&model), plain);
}

#[cfg(unix)]
#[test]
fn the_cache_of_the_hub_is_read_and_its_gaps_are_named() {
    use std::os::unix::fs::symlink;
    use support::tiny_model::paints;

    let model = TinyModel::new("sd");
    let root = tempfile::tempdir().expect("a folder");
    let cache = root.path().join("hub/models--org--tiny");
    fs::create_dir_all(cache.join("blobs")).expect("made");
    fs::create_dir_all(cache.join("refs")).expect("made");
    fs::write(cache.join("refs/main"), "abc").expect("written");
    let link = |from: &Path, up: &str, blob: &str, to: &Path| {
        fs::copy(from, cache.join("blobs").join(blob)).expect("copied");
        symlink(format!("{up}blobs/{blob}"), to).expect("linked");
    };
    let snapshot = cache.join("snapshots/abc");
    fs::create_dir_all(&snapshot).expect("made");
    link(&model.path("model_index.json"), "../../", "index", &snapshot.join("model_index.json"));
    for part in ["unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
        fs::create_dir(snapshot.join(part)).expect("made");
        for entry in model.path(part).read_dir().expect("a folder").flatten() {
            let name = entry.file_name().into_string().expect("a name");
            link(&entry.path(), "../../../", &format!("{part}-{name}"), &snapshot.join(part).join(&name));
        }
    }
    let plain = plain();
    for folder in [&snapshot, &cache] {
        let (latents, _) = paints(&folder.display().to_string(), &root.path().join("latents.safetensors"));
        assert_eq!(latents, plain);
    }
    let refused = |folder: &Path| {
        let folder = folder.display().to_string();
        let words = ["sample", "--model", &folder, "--prompt", "a harbour", "--device", "cpu"];
        error_of(&mut atelier(&words)).1
    };
    assert_says(&refused(&root.path().join("hub")), &["there are models in it", "models--org--tiny"]);
    for file in ["unet-diffusion_pytorch_model.safetensors", "unet-config.json"] {
        fs::remove_file(cache.join("blobs").join(file)).expect("removed");
        let message = refused(&cache);
        assert_says(&message, &[file, "is a link to", "the download is not complete"]);
    }
}

/// Every command that takes a model says the same.
#[test]
fn what_is_no_model_folder_is_answered_with_what_to_do() {
    let model = TinyModel::new("sd");
    let part = model.path("unet").display().to_string();
    let single = model.path(UNET).display().to_string();
    let folder = model.folder();
    for (given, expected) in [
        (
            "runwayml/stable-diffusion-v1-5",
            &["nothing is downloaded", "hf download runwayml/stable-diffusion-v1-5"][..],
        ),
        (&part, &["is a part of a model", &folder]),
        (&single, &["is a single file", "from_single_file"]),
        ("nowhere", &["a diffusers model folder is expected"]),
    ] {
        let out = model.path("out").display().to_string();
        for command in [
            &["sample", "--prompt", "a harbour", "--out", &out][..],
            &["convert", "--out", &out],
            &["explain", "nothing.png"],
            &["plan", "--device", "cpu"],
        ] {
            let (code, message) = error_of(&mut atelier(&[command, &["--model", given]].concat()));
            assert_eq!(code, Some(1), "{command:?}: {message}");
            assert_says(&message, expected);
        }
        assert!(!Path::new(&out).exists(), "nothing is written");
    }
}
