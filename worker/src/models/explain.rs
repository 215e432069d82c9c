//! Tells which kind of model comes from which folders, in the order in which ComfyUI searches them.

use std::fmt;

use serde::Serialize;

use super::library::{Folder, Library, Listing, ModelFile, Origin};

/// One folder of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedFolder {
    /// Where, and who says so.
    #[serde(flatten)]
    pub folder: Folder,
    /// Whether it is there.
    pub exists: bool,
    /// Models in it.
    pub files: usize,
}

/// One kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// By its present name.
    pub kind: String,
    /// In search order.
    pub folders: Vec<ExplainedFolder>,
}

impl Library {
    /// Explains all kinds, or those of one name. Blocks.
    ///
    /// # Errors
    /// [`super::LibraryError::UnknownKind`].
    pub fn explain(&self, kind: Option<&str>) -> Result<Vec<Explanation>, super::LibraryError> {
        let kinds: Vec<&str> = kind.map_or_else(|| self.kinds().collect(), |kind| vec![kind]);
        kinds
            .into_iter()
            .map(|kind| {
                let Listing { files, .. } = self.files(kind)?;
                let explained = |folder: &Folder| ExplainedFolder {
                    exists: folder.dir.is_dir(),
                    files: files.iter().filter(|file| lies_in(file, folder)).count(),
                    folder: folder.clone(),
                };
                Ok(Explanation {
                    kind: super::kinds::present_name(kind).to_owned(),
                    folders: self.folders(kind)?.iter().map(explained).collect(),
                })
            })
            .collect()
    }
}

fn lies_in(file: &ModelFile, folder: &Folder) -> bool {
    folder.dir.join(&file.name) == file.path
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        for (turn, explained) in (1..).zip(&self.folders) {
            let ExplainedFolder {
                folder,
                exists,
                files,
            } = explained;
            write!(f, "\n  {turn}. {}", folder.dir.display())?;
            match (exists, files) {
                (false, _) => f.write_str(" (does not exist)")?,
                (true, 1) => f.write_str(" (1 file)")?,
                (true, files) => write!(f, " ({files} files)")?,
            }
            match &folder.origin {
                Origin::Comfyui => f.write_str(", ComfyUI's own")?,
                Origin::ExtraPaths { section, line } => {
                    write!(f, ", from section {section:?}, line {line}")?;
                }
            }
        }
        Ok(())
    }
}
