//! What a look at a model file can find: the closed list of faults, with a sentence and a remedy for each.

use std::collections::BTreeMap;

use serde::Serialize;

use super::family::Family;

/// How the content of a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A header of JSON, then the numbers.
    Safetensors,
    /// PyTorch's archive: a zip with a pickle in it.
    TorchZip,
    /// PyTorch's old layout, or another pickle.
    Pickle,
    /// The layout of llama.cpp, which only extensions of ComfyUI read.
    Gguf,
    /// A layout that is not looked into.
    Other,
}

/// What a whole file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Its layout.
    pub format: Format,
    /// Number of tensors, where the layout tells it cheaply.
    pub tensors: Option<u64>,
    /// Number of weights, where the layout tells it cheaply.
    pub parameters: Option<u64>,
    /// What the names and shapes of the tensors look like; a guess.
    pub family: Family,
    /// The free text of the header, long values shortened.
    pub metadata: BTreeMap<String, String>,
}

impl Contents {
    /// Contents of which only the layout is known.
    pub(super) const fn of(format: Format) -> Self {
        Self {
            format,
            tensors: None,
            parameters: None,
            family: Family::Unknown,
            metadata: BTreeMap::new(),
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Fault {
    /// No content, or fewer bytes than any model has.
    Empty {
        /// Bytes in the file.
        actual: u64,
    },
    /// What git-lfs leaves in place of a file that was not fetched.
    LfsPointer {
        /// Bytes of the real file, as the pointer says.
        declared: Option<u64>,
    },
    /// A web page saved under the name of a model.
    HtmlPage,
    /// A server's answer in JSON saved under the name of a model.
    JsonBody {
        /// Its beginning.
        excerpt: String,
    },
    /// A PyTorch archive under a name that says safetensors.
    TorchZip,
    /// A pickle under a name that says safetensors.
    Pickle,
    /// A GGUF file under another name.
    Gguf,
    /// A safetensors file under a name that says PyTorch.
    Misnamed,
    /// The file begins with a header length that no safetensors file has.
    HeaderTooLarge {
        /// Length of the header, as the file says.
        declared: u64,
    },
    /// The file ends inside its header.
    HeaderCut {
        /// Bytes up to the end of the header.
        declared: u64,
        /// Bytes in the file.
        actual: u64,
    },
    /// The file ends before its data does.
    DataCut {
        /// Bytes that the header promises.
        declared: u64,
        /// Bytes in the file.
        actual: u64,
    },
    /// The file goes on after its data.
    BytesAppended {
        /// Bytes that the header promises.
        declared: u64,
        /// Bytes in the file.
        actual: u64,
    },
    /// The header is no text.
    HeaderNotUtf8,
    /// The header is text, and not what a header says.
    HeaderNotJson {
        /// Where it stops making sense.
        detail: String,
    },
    /// A kind of number that we do not know.
    UnknownDtype {
        /// As the header spells it.
        dtype: String,
    },
    /// The tensors overlap or leave gaps.
    BadOffsets {
        /// The first tensor out of place.
        tensor: String,
    },
    /// Shape and kind of number do not give the bytes that the tensor has.
    WrongLength {
        /// The tensor.
        tensor: String,
    },
    /// A well-formed file with nothing in it.
    NoTensors,
    /// A zip archive without its table of contents.
    ArchiveCut,
    /// A zip archive that PyTorch did not write.
    ForeignArchive,
    /// Content of no kind that belongs under this name.
    UnknownContent,
    /// The file could not be read.
    NotReadable {
        /// What the operating system says.
        detail: String,
    },
}

const FETCH_AGAIN: &str = "Delete the file and download it again; compare size and sha256 with the source.";

impl Fault {
    /// A short name of it, in snake case; the same as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty",
            Self::LfsPointer { .. } => "lfs_pointer",
            Self::HtmlPage => "html_page",
            Self::JsonBody { .. } => "json_body",
            Self::TorchZip => "torch_zip",
            Self::Pickle => "pickle",
            Self::Gguf => "gguf",
            Self::Misnamed => "misnamed",
            Self::HeaderTooLarge { .. } => "header_too_large",
            Self::HeaderCut { .. } => "header_cut",
            Self::DataCut { .. } => "data_cut",
            Self::BytesAppended { .. } => "bytes_appended",
            Self::HeaderNotUtf8 => "header_not_utf8",
            Self::HeaderNotJson { .. } => "header_not_json",
            Self::UnknownDtype { .. } => "unknown_dtype",
            Self::BadOffsets { .. } => "bad_offsets",
            Self::WrongLength { .. } => "wrong_length",
            Self::NoTensors => "no_tensors",
            Self::ArchiveCut => "archive_cut",
            Self::ForeignArchive => "foreign_archive",
            Self::UnknownContent => "unknown_content",
            Self::NotReadable { .. } => "not_readable",
        }
    }

    /// What is wrong, for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::Empty { actual: 0 } => "The file is empty.".into(),
            Self::Empty { actual } => format!("The file has only {actual} bytes."),
            Self::LfsPointer { declared } => {
                let size = declared.map_or_else(String::new, |bytes| format!(" of {bytes} bytes"));
                format!("This is a git-lfs pointer, a short text in place of the model{size}.")
            }
            Self::HtmlPage => "This is a web page and not a model.".into(),
            Self::JsonBody { excerpt } => {
                format!("This is a server's answer and not a model; it begins {excerpt:?}.")
            }
            Self::TorchZip => "This is a PyTorch archive that is named as a safetensors file.".into(),
            Self::Pickle => "This is a PyTorch pickle that is named as a safetensors file.".into(),
            Self::Gguf => "This is a GGUF file under another name.".into(),
            Self::Misnamed => "This is a safetensors file that is named as a PyTorch file.".into(),
            Self::HeaderTooLarge { declared } => format!(
                "This is not a safetensors file: its first eight bytes announce a header of {declared} bytes."
            ),
            Self::HeaderCut { declared, actual } => format!(
                "The file is cut off inside its header: {actual} bytes are there, the header alone ends at \
                 {declared}."
            ),
            Self::DataCut { declared, actual } => format!(
                "The file is cut off: {actual} of {declared} bytes are there, {} are missing.",
                declared.saturating_sub(*actual)
            ),
            Self::BytesAppended { declared, actual } => format!(
                "The file is too long: its header accounts for {declared} bytes, and {} more follow.",
                actual.saturating_sub(*declared)
            ),
            Self::HeaderNotUtf8 => "The header is no UTF-8 text, so the file is damaged.".into(),
            Self::HeaderNotJson { detail } => format!("The header is not as a header is written: {detail}."),
            Self::UnknownDtype { dtype } => {
                format!("The file holds numbers of the kind {dtype:?}, which the safetensors library lacks.")
            }
            Self::BadOffsets { tensor } => {
                format!("The tensors leave a gap or overlap at {tensor:?}, so the file is damaged.")
            }
            Self::WrongLength { tensor } => {
                format!("Shape and kind of number of {tensor:?} do not give the bytes that it has.")
            }
            Self::NoTensors => "The file is well formed and holds no tensor.".into(),
            Self::ArchiveCut => {
                "This is a PyTorch archive without a readable table of contents: most likely it is cut off."
                    .into()
            }
            Self::ForeignArchive => "This is a zip archive that PyTorch did not write.".into(),
            Self::UnknownContent => "The content is of no kind that belongs under this name.".into(),
            Self::NotReadable { detail } => format!("The file cannot be read: {detail}."),
        }
    }

    /// What to do about it, for people.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Empty { .. } => {
                "A download was broken off or the disk is full: make room, delete the file, download it again."
            }
            Self::LfsPointer { .. } => {
                "Run `git lfs pull` in the repository, or download the file itself from its download link."
            }
            Self::HtmlPage => {
                "The address of a page was saved: download from the file's own download link, and log in or \
                 accept the licence first where the site asks for it."
            }
            Self::JsonBody { .. } => {
                "The download was refused: read what the file says, then download it again with the right \
                 address or access key."
            }
            Self::TorchZip | Self::Pickle => {
                "Rename the file to end in .ckpt (checkpoint) or .pth, or get its safetensors edition; open \
                 pickles only from sources that you trust."
            }
            Self::Gguf => "Rename the file to end in .gguf; ComfyUI needs an extension to load such files.",
            Self::Misnamed => "Rename the file to end in .safetensors.",
            Self::HeaderTooLarge { .. } | Self::UnknownContent => {
                "Look at where the file came from and download it again from the file's own download link."
            }
            Self::BytesAppended { .. } => {
                "Delete the file and download it again; do not resume a download onto a file of another origin."
            }
            Self::UnknownDtype { .. } => {
                "Update the safetensors library of ComfyUI's Python (`pip install -U safetensors`); if it is \
                 new, the file is damaged: download it again."
            }
            Self::HeaderCut { .. }
            | Self::DataCut { .. }
            | Self::HeaderNotUtf8
            | Self::HeaderNotJson { .. }
            | Self::BadOffsets { .. }
            | Self::WrongLength { .. }
            | Self::ArchiveCut => FETCH_AGAIN,
            Self::NoTensors => "Download the model again; this file was saved without its weights.",
            Self::ForeignArchive => "Unpack the archive; the model is one of the files inside it.",
            Self::NotReadable { .. } => {
                "Check the rights of the file and whether its disk is there; a broken link must be made anew."
            }
        }
    }
}

/// What a look at a file found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The file is whole, as far as its layout shows.
    Ok(Contents),
    /// It cannot be loaded.
    Broken(Broken),
}

/// A fault together with its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// What is wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// [`Fault::sentence`].
    pub sentence: String,
    /// [`Fault::remedy`].
    pub remedy: &'static str,
}

impl Verdict {
    /// The fault, if there is one.
    pub const fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Ok(_) => None,
            Self::Broken(broken) => Some(&broken.fault),
        }
    }

    /// The contents, if the file is whole.
    pub const fn contents(&self) -> Option<&Contents> {
        match self {
            Self::Ok(contents) => Some(contents),
            Self::Broken(_) => None,
        }
    }
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        let (sentence, remedy) = (fault.sentence(), fault.remedy());
        Self::Broken(Broken {
            fault,
            sentence,
            remedy,
        })
    }
}

impl From<Result<Contents, Fault>> for Verdict {
    fn from(found: Result<Contents, Fault>) -> Self {
        found.map_or_else(Self::from, Self::Ok)
    }
}
