//! What the nodes make: files for those that save, trouble for a picture that is none, nothing for others.

use bytes::Bytes;
use serde_json::{Value, json};

use super::canvas::{Canvas, canvas};
use super::files::annotated;
use super::graph::class_of;
use super::picture;
use super::world::{Item, Place, PlannedFailure, World};
use crate::comfyui::Folder;

/// Does a node's work; what it shows, if it is an output node. `signature` decides the colour.
pub(super) fn work(
    world: &World,
    item: &Item,
    id: &str,
    signature: u64,
) -> Result<Option<Value>, PlannedFailure> {
    let inputs = &item.graph[id]["inputs"];
    let text = |name: &str| inputs[name].as_str().unwrap_or_default();
    let fps = inputs["fps"].as_f64().unwrap_or(6.0);
    let canvas = || canvas_of(world, &item.graph, id);
    let saver = Saver {
        world,
        folder: Folder::Output,
        prefix: text("filename_prefix"),
    };
    let drawn = |canvas: Canvas, seed: u64| {
        let drawn = picture::png(canvas, fps, seed, &texts(item));
        drawn.map_err(|error| PlannedFailure::new(id, "ValueError", &error.to_string()))
    };
    let stills = |saver: &Saver<'_>| {
        let Canvas { batch, .. } = canvas();
        let one = Canvas { batch: 1, ..canvas() };
        let saved = (0..batch).map(|n| {
            let content = drawn(one, signature.wrapping_add(u64::from(n)))?;
            Ok(saver.save("png", content).json())
        });
        Ok(Some(json!({ "images": saved.collect::<Result<Vec<_>, _>>()? })))
    };
    let film = |extension: &str, content: Bytes| {
        Ok(Some(
            json!({"images": [saver.save(extension, content).json()], "animated": [true]}),
        ))
    };
    match class_of(&item.graph, id).as_str() {
        "LoadImage" | "LoadImageMask" => load(world, id, text("image")).map(|()| None),
        "SaveImage" => stills(&saver),
        "PreviewImage" => stills(&Saver {
            folder: Folder::Temp,
            prefix: "ComfyUI_temp",
            ..saver
        }),
        "SaveAnimatedWEBP" => film("webp", picture::webp(canvas(), fps, signature)),
        "SaveAnimatedPNG" => film("png", drawn(canvas(), signature)?),
        "SaveWEBM" => film("webm", Bytes::from_static(picture::WEBM)),
        "SaveVideo" if text("format") == "webm" => film("webm", Bytes::from_static(picture::WEBM)),
        "SaveVideo" => film("mp4", Bytes::from_static(picture::MP4)),
        _ => Ok(None),
    }
}

fn canvas_of(world: &World, graph: &Value, id: &str) -> Canvas {
    canvas(graph, id, &|name| {
        let place = annotated(name);
        picture::size(&world.read(|state| state.files.get(&place).cloned())?)
    })
}

/// The text chunks that the server writes into a PNG.
fn texts(item: &Item) -> Vec<(String, String)> {
    let extra = item.extra_data["extra_pnginfo"].as_object();
    let extra = extra.into_iter().flatten();
    let extra = extra.map(|(key, value)| (key.clone(), value.to_string()));
    std::iter::once(("prompt".to_owned(), item.graph.to_string()))
        .chain(extra)
        .collect()
}

fn load(world: &World, id: &str, name: &str) -> Result<(), PlannedFailure> {
    let place = annotated(name);
    let readable = world.read(|state| {
        let file = state.files.get(&place);
        file.is_some_and(|content| picture::is_picture(content))
    });
    if readable {
        return Ok(());
    }
    let message = format!("cannot identify image file '{}'", place.filename);
    Err(PlannedFailure::new(id, "PIL.UnidentifiedImageError", &message))
}

/// Where a node saves.
struct Saver<'a> {
    world: &'a World,
    folder: Folder,
    prefix: &'a str,
}

impl Saver<'_> {
    /// Saves a file under the number after the largest one there is of this prefix, whatever its extension.
    fn save(&self, extension: &str, content: Bytes) -> Place {
        let (subfolder, stem) = self.prefix.rsplit_once('/').unwrap_or(("", self.prefix));
        let number = |place: &Place| {
            let rest = place.filename.strip_prefix(stem)?.strip_prefix('_')?;
            rest.split_once('_')?.0.parse::<u32>().ok()
        };
        self.world.edit(|state| {
            let there = state
                .files
                .keys()
                .filter(|place| place.folder == self.folder.as_str() && place.subfolder == subfolder);
            let count = there.filter_map(number).max().unwrap_or(0) + 1;
            let place = Place {
                folder: self.folder.as_str(),
                subfolder: subfolder.to_owned(),
                filename: format!("{stem}_{count:05}_.{extension}"),
            };
            state.files.insert(place.clone(), content);
            place
        })
    }
}
