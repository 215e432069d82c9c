//! The options of `submit` that only jobs of paid services have.

use std::{fs, path::Path, str::FromStr};

use clap::Args;
use serde_json::{Value, json};

use super::options::Setting;
use crate::problem::Problem;

/// What only FLUX and v0 jobs have.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "FLUX and v0, which cost money")]
pub(crate) struct PaidOptions {
    /// Model of FLUX or v0, such as flux-2-pro or v0-mini; see `orchestrator models`
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// FLUX: shape of the picture, such as 16:9
    #[arg(long, value_name = "W:H")]
    pub(crate) aspect_ratio: Option<String>,
    /// FLUX: jpeg, png or webp
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// FLUX: 0 is strict, 5 or 6 tolerant
    #[arg(long, value_name = "NUMBER")]
    pub(crate) safety_tolerance: Option<u32>,
    /// FLUX: less processed, more natural
    #[arg(long)]
    pub(crate) raw: bool,
    /// FLUX: how closely the prompt is followed
    #[arg(long, value_name = "NUMBER")]
    pub(crate) guidance: Option<f64>,
    /// FLUX: how much of the first image shows, 0 to 1
    #[arg(long, value_name = "PART")]
    pub(crate) image_strength: Option<f64>,
    /// FLUX: pixels to add above the image
    #[arg(long, value_name = "PIXELS")]
    pub(crate) top: Option<u32>,
    /// FLUX: pixels to add below the image
    #[arg(long, value_name = "PIXELS")]
    pub(crate) bottom: Option<u32>,
    /// FLUX: pixels to add at the left of the image
    #[arg(long, value_name = "PIXELS")]
    pub(crate) left: Option<u32>,
    /// FLUX: pixels to add at the right of the image
    #[arg(long, value_name = "PIXELS")]
    pub(crate) right: Option<u32>,
    /// v0: the chat that is continued, changed or fetched
    #[arg(long, value_name = "ID")]
    pub(crate) chat: Option<String>,
    /// v0: what the model is told beforehand
    #[arg(long, value_name = "PROMPT")]
    pub(crate) system: Option<String>,
    /// v0: who sees the chat: private, public, team, team-edit or unlisted
    #[arg(long, value_name = "WHO")]
    pub(crate) privacy: Option<String>,
    /// v0: a file of the chat is written with the content of a local file, or removed where none is named; may be
    /// repeated
    #[arg(long, value_name = "PATH=[FILE]")]
    pub(crate) change: Vec<Change>,
}

/// `PATH=FILE`, or `PATH=` for one that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    path: String,
    file: Option<String>,
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((path, file)) if !path.trim().is_empty() => Ok(Self {
                path: path.trim().to_owned(),
                file: (!file.is_empty()).then(|| file.to_owned()),
            }),
            _ => Err("it is written as PATH=FILE, or PATH= for a file that is removed".to_owned()),
        }
    }
}

impl Change {
    /// As the contract has it, with the content of the local file.
    ///
    /// # Errors
    /// That the file cannot be read as text.
    pub(super) fn read(&self) -> Result<Value, Problem> {
        let Some(file) = &self.file else {
            return Ok(json!({"path": self.path}));
        };
        let content = fs::read_to_string(Path::new(file))
            .map_err(|error| Problem::usage(format!("--change {}: {file}: {error}", self.path)))?;
        Ok(json!({"path": self.path, "content": content}))
    }
}

impl PaidOptions {
    /// Options that set one field to one text.
    pub(super) fn settings(&self) -> Vec<Setting> {
        fn text(value: Option<&impl ToString>) -> Option<String> {
            value.map(ToString::to_string)
        }
        let of_flux = self.settings_of_flux();
        let others = [
            ("--model", "model", self.model.clone()),
            ("--chat", "chat", self.chat.clone()),
            ("--system", "system", self.system.clone()),
            ("--privacy", "privacy", text(self.privacy.as_ref())),
        ];
        of_flux.into_iter().chain(others).collect()
    }

    fn settings_of_flux(&self) -> Vec<Setting> {
        fn text(value: Option<&impl ToString>) -> Option<String> {
            value.map(ToString::to_string)
        }
        vec![
            ("--aspect-ratio", "aspect_ratio", self.aspect_ratio.clone()),
            ("--format", "output_format", self.format.clone()),
            (
                "--safety-tolerance",
                "safety_tolerance",
                text(self.safety_tolerance.as_ref()),
            ),
            ("--raw", "raw", self.raw.then(|| "true".to_owned())),
            ("--guidance", "guidance", text(self.guidance.as_ref())),
            (
                "--image-strength",
                "image_prompt_strength",
                text(self.image_strength.as_ref()),
            ),
            ("--top", "top", text(self.top.as_ref())),
            ("--bottom", "bottom", text(self.bottom.as_ref())),
            ("--left", "left", text(self.left.as_ref())),
            ("--right", "right", text(self.right.as_ref())),
        ]
    }

    /// The backend that can only be meant; `None` where no option tells.
    pub(super) fn backend(&self) -> Option<&'static str> {
        let begins = |with: &str| self.model.as_ref().is_some_and(|model| model.starts_with(with));
        let of_v0 = self.chat.is_some() || self.privacy.is_some() || !self.change.is_empty();
        let of_flux = self.settings_of_flux().iter().any(|(_, _, text)| text.is_some());
        if begins("v0") || of_v0 {
            Some("v0")
        } else {
            (begins("flux") || of_flux).then_some("flux")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_a_path_and_a_file() {
        let read = |text: &str| text.parse::<Change>().map(|change| (change.path, change.file));
        assert_eq!(
            read("app/page.tsx=./a=b.tsx"),
            Ok(("app/page.tsx".to_owned(), Some("./a=b.tsx".to_owned())))
        );
        assert_eq!(read("old.css="), Ok(("old.css".to_owned(), None)));
        assert!(read("page.tsx").is_err() && read("=a").is_err());
    }

    #[test]
    fn the_content_of_a_change_is_read_and_a_removal_has_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("page.tsx");
        fs::write(&file, "export default 1").expect("written");
        let change = |text: &str| text.parse::<Change>().expect("a change").read();
        let written = change(&format!("app/page.tsx={}", file.display())).expect("read");
        assert_eq!(
            written,
            json!({"path": "app/page.tsx", "content": "export default 1"})
        );
        assert_eq!(change("old.css=").expect("read"), json!({"path": "old.css"}));
        fs::write(&file, [0xff, 0xfe]).expect("written");
        let problem = change(&format!("app/page.tsx={}", file.display())).expect_err("no text");
        assert!(problem.detail.contains("--change app/page.tsx"), "{problem:?}");
    }
}
