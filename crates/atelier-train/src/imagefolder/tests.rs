use super::*;
use image::{ImageError, Rgb, RgbImage};
use std::fs;
use tempfile::TempDir;

mod folders;

fn tree() -> &'static CriteriaTree {
    CriteriaTree::embedded()
}

/// Two ids of the embedded tree.
fn leaves() -> [String; 2] {
    let tree = tree();
    let mut ids = tree.leaves().iter().map(|leaf| leaf.id.clone());
    [ids.next().expect("a leaf"), ids.next().expect("another leaf")]
}

/// A folder with one 4 x 4 picture `a.png` and the given metadata in `train/`.
fn folder(metadata: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let train = folder.path().join("train");
    fs::create_dir(&train).expect("made");
    RgbImage::from_pixel(4, 4, Rgb([255, 0, 128])).save(train.join("a.png")).expect("written");
    fs::write(train.join(METADATA), metadata).expect("written");
    folder
}

fn open_error(metadata: &str) -> String {
    let folder = folder(metadata);
    ImageFolder::open(folder.path(), Split::Train, tree()).expect_err("bad metadata").to_string()
}

#[test]
fn columns_are_read_and_absent_or_unknown_ones_do_no_harm() {
    let [first, second] = leaves();
    let folder = folder(&format!(
        "{{\"file_name\": \"a.png\", \"text\": \"a sea\", \"positive\": [\"{first}\"], \"negative\": [\"{second}\"]}}\n\
         \n{{\"file_name\": \"./a.png\", \"text\": \"again\", \"artist\": {{\"born\": 1840}}}}\n"
    ));
    let data = ImageFolder::open(folder.path(), Split::Train, tree()).expect("good metadata");
    let path = folder.path().join("train").join("a.png");
    let expected = [
        Example {
            path: path.clone(),
            text: "a sea".to_owned(),
            labels: Labels { positive: vec![first], negative: vec![second] },
        },
        Example { path, text: "again".to_owned(), labels: Labels::default() },
    ];
    assert_eq!(data.examples(), expected);
    assert_eq!(data.folder(), folder.path().join("train"));
}

#[test]
fn a_folder_without_splits_is_any_split() {
    let folder = folder("{\"file_name\": \"a.png\", \"text\": \"\"}");
    let plain = folder.path().join("train");
    assert_eq!(ImageFolder::open(&plain, Split::Validation, tree()).expect("metadata").examples().len(), 1);
}

#[test]
fn missing_metadata_says_where_it_was_looked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = ImageFolder::open(folder.path(), Split::Test, tree()).expect_err("empty folder").to_string();
    for place in [folder.path().join("test").join(METADATA), folder.path().join(METADATA)] {
        assert!(error.contains(&place.display().to_string()), "{error}");
    }
    let empty = open_error("\n");
    assert!(empty.contains("metadata.jsonl is empty"), "{empty}");
}

#[test]
fn a_bad_line_is_named() {
    let good = "{\"file_name\": \"a.png\", \"text\": \"a sea\"}\n";
    let cases = [
        ("{\"file_name\": \"a.png\", \"te", "EOF"),
        ("{\"file_name\": \"a.png\"}", "missing field `text`"),
        ("{\"file_name\": \"a.png\", \"text\": \"\", \"positive\": \"one\"}", "expected a sequence"),
        ("{\"file_name\": \"b.png\", \"text\": \"\"}", "no file"),
        ("{\"file_name\": \"\", \"text\": \"\"}", "inside the folder"),
        ("{\"file_name\": \"../a.png\", \"text\": \"\"}", "inside the folder"),
        ("{\"file_name\": \"/etc/hostname\", \"text\": \"\"}", "inside the folder"),
        ("{\"file_name\": \"a.png\", \"text\": \"\", \"positive\": [\"no.such.leaf\"]}", "no.such.leaf"),
    ];
    for (bad, reason) in cases {
        let error = open_error(&format!("{good}\n{bad}"));
        assert!(error.contains("metadata.jsonl, line 3") && error.contains(reason), "{bad}: {error}");
    }
}

#[test]
fn pictures_are_cropped_to_the_centre_and_scaled_to_unit_range() {
    let folder = folder("{\"file_name\": \"a.png\", \"text\": \"\"}");
    // Wide, with a black middle between white sides.
    let wide = RgbImage::from_fn(48, 16, |x, _| Rgb(if (16..32).contains(&x) { [0; 3] } else { [255; 3] }));
    wide.save(folder.path().join("train").join("a.png")).expect("written");
    let data = ImageFolder::open(folder.path(), Split::Train, tree()).expect("good metadata");
    for size in [8, 16, 24] {
        let values = data.load_image(0, size).expect("a picture");
        assert_eq!(values, vec![-1.0; 3 * (size * size) as usize]);
    }
}

#[test]
fn planes_come_in_the_order_red_green_blue() {
    let folder = folder("{\"file_name\": \"a.png\", \"text\": \"\"}");
    let data = ImageFolder::open(folder.path(), Split::Train, tree()).expect("good metadata");
    let values = data.load_image(0, 4).expect("a picture");
    assert_eq!((values[0], values[16]), (1.0, -1.0));
    // 128 of 255 is half a step above the middle.
    assert!((values[32] - 1.0 / 255.0).abs() < 1e-6);
}

#[test]
fn an_unreadable_picture_is_named() {
    let folder = folder("{\"file_name\": \"a.png\", \"text\": \"\"}");
    let path = folder.path().join("train").join("a.png");
    let whole = fs::read(&path).expect("there");
    for bytes in [&whole[..whole.len() / 2], b"no picture at all", b""] {
        fs::write(&path, bytes).expect("written");
        let error = load(&path).expect_err("not a picture").to_string();
        assert!(error.contains("a.png"), "{error}");
    }
}

#[test]
fn a_picture_that_claims_too_many_pixels_is_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, width, height) in [("wide.png", 1 << 16, 1), ("large.png", 20_000, 20_000)] {
        let path = folder.path().join(name);
        let mut file = fs::File::create(&path).expect("made");
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().expect("a header");
        // The start of a pixel stream: decoders ask for it before they report a picture's size.
        writer.write_chunk(png::chunk::IDAT, &[0x78, 0x9c]).expect("a chunk");
        drop(writer);
        let error = load(&path).expect_err("too large");
        let ImageFolderError::Picture { source: ImageError::Limits(_), .. } = error else {
            panic!("{name}: {error}");
        };
    }
}

#[test]
fn pictures_are_listed_in_order_without_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = Labelling::of_folder(folder.path(), "", tree());
    assert!(matches!(empty, Err(ImageFolderError::Empty { .. })));
    for name in ["b.JPG", "a.png", "notes.txt", "c.webp"] {
        fs::write(folder.path().join(name), "").expect("written");
    }
    fs::create_dir(folder.path().join("d.png")).expect("made");
    let expected = ["a.png", "b.JPG", "c.webp"].map(|name| folder.path().join(name));
    assert_eq!(Listing::read(folder.path(), &[]).expect("pictures").pictures, expected);
    let absent = Listing::read(&folder.path().join("absent"), &[]);
    assert!(matches!(absent, Err(ImageFolderError::Read { .. })));
}

#[test]
fn written_metadata_is_read_back_and_keeps_columns_of_others() {
    let [first, second] = leaves();
    let folder = folder("{\"file_name\": \"a.png\", \"text\": \"a \\\"sea\\\"\", \"artist\":\"Monet\"}");
    let train = folder.path().join("train");
    let mut data = ImageFolder::open(folder.path(), Split::Train, tree()).expect("good metadata");
    data.examples[0].labels = Labels { positive: vec![first], negative: vec![second] };
    let places = Labelling::of_folder(folder.path(), "", tree()).expect("good metadata");
    places[0].write(&[Some(data.examples[0].labels.clone())]).expect("written");
    assert_eq!(ImageFolder::open(folder.path(), Split::Train, tree()).expect("good metadata"), data);
    assert!(fs::read_to_string(train.join(METADATA)).expect("there").contains("\"artist\":\"Monet\""));
}

#[test]
fn a_picture_elsewhere_cannot_be_listed() {
    let folder = folder("{\"file_name\": \"a.png\", \"text\": \"\"}");
    let train = folder.path().join("train");
    for elsewhere in ["test/a.png", "train/../test/a.png"] {
        let error =
            labelling::file_name(&train, &folder.path().join(elsewhere)).expect_err("not in the folder");
        assert!(matches!(error, ImageFolderError::NotInFolder { .. }), "{error}");
    }
    assert_eq!(labelling::file_name(&train, &train.join("a/b.png")).expect("inside"), "a/b.png");
}

#[test]
fn dimensions_are_those_of_the_upright_picture() {
    use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
    // A big-endian Exif block with one entry: the orientation, 6, a quarter turn.
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.jpg");
    let mut encoder = JpegEncoder::new(fs::File::create(&path).expect("made"));
    encoder.set_exif_metadata(exif.to_vec()).expect("Exif");
    encoder.write_image(&[128; 3 * 40 * 24], 40, 24, ExtendedColorType::Rgb8).expect("written");
    assert_eq!(dimensions(&path).expect("a picture"), [24, 40]);
    assert_eq!(load(&path).expect("a picture").dimensions(), (24, 40));
    fs::write(&path, b"no picture").expect("written");
    assert!(dimensions(&path).expect_err("no picture").to_string().contains("a.jpg"));
}
