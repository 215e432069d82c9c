//! What the nodes make: files for those that save, trouble for a picture that is none, nothing for others.

use serde_json::{Value, json};

use super::files::annotated;
use super::graph::{canvas, class_of};
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
    match class_of(&item.graph, id).as_str() {
        "LoadImage" => load(world, id, text("image")).map(|()| None),
        "SaveImage" => save(
            world,
            item,
            id,
            signature,
            (Folder::Output, text("filename_prefix")),
        )
        .map(Some),
        "PreviewImage" => save(world, item, id, signature, (Folder::Temp, "ComfyUI_temp")).map(Some),
        _ => Ok(None),
    }
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
    Err(PlannedFailure {
        node: id.to_owned(),
        exception_type: "PIL.UnidentifiedImageError".to_owned(),
        message: format!("cannot identify image file '{}'", place.filename),
    })
}

fn save(
    world: &World,
    item: &Item,
    id: &str,
    signature: u64,
    (folder, prefix): (Folder, &str),
) -> Result<Value, PlannedFailure> {
    let (width, height, batch) = canvas(&item.graph, id);
    let (subfolder, stem) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let mut texts = vec![("prompt".to_owned(), item.graph.to_string())];
    let extra = item.extra_data["extra_pnginfo"].as_object();
    texts.extend(
        extra
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.to_string())),
    );
    let mut images = Vec::new();
    for n in 0..batch {
        let seed = signature.wrapping_add(u64::from(n));
        let content = picture::png(width, height, seed, &texts).map_err(|error| PlannedFailure {
            node: id.to_owned(),
            exception_type: "ValueError".to_owned(),
            message: error.to_string(),
        })?;
        let place = world.edit(|state| {
            let named = |count: u32| Place {
                folder: folder.as_str(),
                subfolder: subfolder.to_owned(),
                filename: format!("{stem}_{count:05}_.png"),
            };
            let mut count = 1;
            while state.files.contains_key(&named(count)) {
                count += 1;
            }
            state.files.insert(named(count), content);
            named(count)
        });
        images.push(place.json());
    }
    Ok(json!({ "images": images }))
}
