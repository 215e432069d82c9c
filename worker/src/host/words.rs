//! A command line cut into words, without a shell: nothing is expanded, piped or redirected. Pure.

/// Whose rules of quoting hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// As in a POSIX shell: quotes of both kinds, and the backslash protects the next character.
    Posix,
    /// As at a Windows prompt: only double quotes group, and a backslash is a character like any other, so
    /// that paths can be written as they are.
    Windows,
}

impl Rules {
    /// Those of this platform.
    pub(super) const fn native() -> Self {
        if cfg!(windows) { Self::Windows } else { Self::Posix }
    }
}

/// The program and its arguments.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn split(text: &str, rules: Rules) -> Result<Vec<String>, &'static str> {
    let words = match rules {
        Rules::Posix => shlex::split(text).ok_or("a quote is not closed")?,
        Rules::Windows => split_windows(text)?,
    };
    match words.first() {
        None => Err("there is no program in it"),
        Some(program) if program.is_empty() => Err("the program's name is empty"),
        // the array of a settings file arrives joined by commas
        Some(program) if words.len() == 1 && program.contains(',') && !text.contains(['"', '\'']) => {
            Err("write it as one text as at a prompt, not as a list")
        }
        Some(_) => Ok(words),
    }
}

fn split_windows(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quoted {
        return Err("a quote is not closed");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_group_and_nothing_is_expanded() {
        let words = split(
            "'/opt/my env/python' main.py --port \"81 88\" $HOME *",
            Rules::Posix,
        );
        let expected = ["/opt/my env/python", "main.py", "--port", "81 88", "$HOME", "*"];
        assert_eq!(words.expect("words"), expected);
    }

    #[test]
    fn windows_paths_are_written_as_they_are() {
        let text = r#""C:\Program Files\ComfyUI\python.exe" -s ComfyUI\main.py --output-directory "D:\out put\\" """#;
        let expected = [
            r"C:\Program Files\ComfyUI\python.exe",
            "-s",
            r"ComfyUI\main.py",
            "--output-directory",
            r"D:\out put\\",
            "",
        ];
        assert_eq!(split(text, Rules::Windows).expect("words"), expected);
    }

    #[test]
    fn what_is_no_command_is_refused_with_the_reason() {
        for rules in [Rules::Posix, Rules::Windows] {
            assert!(split("  ", rules).expect_err("empty").contains("no program"));
            assert!(
                split("python \"main.py", rules)
                    .expect_err("open")
                    .contains("not closed")
            );
            assert!(split("\"\" x", rules).expect_err("nameless").contains("empty"));
            assert!(
                split("python,main.py,--listen", rules)
                    .expect_err("a list")
                    .contains("not as a list")
            );
            assert!(split("\"/opt/a,b\"", rules).is_ok());
        }
    }
}
