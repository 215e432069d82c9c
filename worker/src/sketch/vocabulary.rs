//! The words that a prompt can be drawn by. Everything else in it still counts through its hash.

use super::dice::Root;

/// A family of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Sunset,
    Dawn,
    Ocean,
    Tropical,
    Forest,
    Night,
    Fire,
    Ice,
    Neon,
    Pastel,
    Mono,
    Autumn,
    Desert,
    Aurora,
    Space,
    Rose,
    Gold,
    Storm,
}

/// What the picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motif {
    Peaks,
    Hills,
    Forest,
    Dunes,
    Sea,
    City,
    Cosmos,
    Streams,
    Orbs,
    Silk,
}

/// Something that is added to a motif.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    Sun,
    Moon,
    Stars,
    Aurora,
    Lake,
    Snow,
    Birds,
    Boat,
    Waves,
    Planet,
}

/// What a prompt asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// Colours.
    pub(super) mood: Mood,
    /// Subject.
    pub(super) motif: Motif,
    /// Additions, in the order of the prompt.
    pub(super) extras: Vec<Extra>,
    /// Whether a word asked for these colours.
    pub(super) mood_is_named: bool,
}

/// What a word asks for; the number says how strongly, and the strongest word wins.
#[derive(Clone, Copy)]
enum Wish {
    Colours(Mood, u8),
    Subject(Motif, u8),
    Add(Extra),
}

use Extra::{Birds, Boat, Lake, Moon, Planet, Snow, Stars, Sun, Waves};
use Wish::{Add, Colours, Subject};

#[rustfmt::skip]
const VOCABULARY: &[(&[&str], &[Wish])] = &[
    (&["sunset", "sundown", "dusk", "evening", "twilight", "🌇"], &[Colours(Mood::Sunset, 3), Add(Sun)]),
    (&["dawn", "sunrise", "morning", "🌅"], &[Colours(Mood::Dawn, 3), Add(Sun)]),
    (&["sun", "sunny", "sunshine", "☀"], &[Add(Sun)]),
    (&["ocean", "sea", "coast", "🌊"], &[Colours(Mood::Ocean, 1), Subject(Motif::Sea, 3)]),
    (&["wave", "surf", "tide"], &[Colours(Mood::Ocean, 1), Subject(Motif::Sea, 2), Add(Waves)]),
    (&["beach", "tropical", "island", "palm", "🌴"], &[Colours(Mood::Tropical, 2), Subject(Motif::Sea, 2)]),
    (&["boat", "ship", "sail", "sailboat", "⛵"], &[Subject(Motif::Sea, 2), Add(Boat)]),
    (&["lake", "river", "reflection", "water", "pond", "fjord"], &[Add(Lake)]),
    (&["forest", "tree", "pine", "wood", "woods", "jungle", "🌲", "🌳"],
        &[Colours(Mood::Forest, 1), Subject(Motif::Forest, 3)]),
    (&["mountain", "peak", "alps", "summit", "rock", "⛰", "🏔"], &[Subject(Motif::Peaks, 3)]),
    (&["hill", "meadow", "field", "valley", "countryside", "grass"],
        &[Subject(Motif::Hills, 3), Colours(Mood::Forest, 1)]),
    (&["landscape", "horizon", "view"], &[Subject(Motif::Hills, 1)]),
    (&["desert", "dune", "sand", "sahara", "🏜", "🐪"], &[Colours(Mood::Desert, 2), Subject(Motif::Dunes, 3)]),
    (&["night", "midnight", "dark", "🌃"], &[Colours(Mood::Night, 3), Add(Stars)]),
    (&["moon", "moonlight", "moonlit", "🌙", "🌕"], &[Colours(Mood::Night, 1), Add(Moon)]),
    (&["star", "starry", "⭐", "✨"], &[Colours(Mood::Night, 1), Add(Stars)]),
    (&["aurora", "borealis", "polar", "arctic"],
        &[Colours(Mood::Aurora, 4), Subject(Motif::Peaks, 1), Add(Extra::Aurora), Add(Stars)]),
    (&["fire", "flame", "lava", "volcano", "inferno", "ember", "🔥", "🌋"], &[Colours(Mood::Fire, 3)]),
    (&["ice", "icy", "frozen", "glacier", "frost", "cold", "❄"], &[Colours(Mood::Ice, 3)]),
    (&["snow", "snowy", "winter", "blizzard"], &[Colours(Mood::Ice, 2), Add(Snow)]),
    (&["neon", "cyberpunk", "synthwave", "vaporwave", "retrowave", "electric"], &[Colours(Mood::Neon, 4)]),
    (&["city", "town", "skyline", "street", "building", "skyscraper", "🏙"], &[Subject(Motif::City, 3)]),
    (&["pastel", "soft", "gentle", "dreamy", "candy", "unicorn", "🦄"], &[Colours(Mood::Pastel, 3)]),
    (&["mono", "monochrome", "grey", "gray", "noir", "ink", "black", "white"], &[Colours(Mood::Mono, 3)]),
    (&["autumn", "fall", "october", "maple", "🍁", "🍂"], &[Colours(Mood::Autumn, 3)]),
    (&["storm", "stormy", "rain", "rainy", "thunder", "cloudy", "fog", "foggy"], &[Colours(Mood::Storm, 2)]),
    (&["space", "galaxy", "nebula", "cosmos", "cosmic", "universe", "🌌"],
        &[Colours(Mood::Space, 2), Subject(Motif::Cosmos, 3), Add(Stars)]),
    (&["planet", "saturn", "mars", "jupiter", "astronaut", "rocket", "🪐", "🚀"],
        &[Colours(Mood::Space, 1), Subject(Motif::Cosmos, 3), Add(Planet)]),
    (&["rose", "flower", "blossom", "love", "pink", "cherry", "sakura", "🌹", "🌸"], &[Colours(Mood::Rose, 3)]),
    (&["gold", "golden", "honey", "amber", "yellow"], &[Colours(Mood::Gold, 2)]),
    (&["red", "crimson", "scarlet"], &[Colours(Mood::Fire, 1)]),
    (&["blue", "azure", "cyan"], &[Colours(Mood::Ocean, 1)]),
    (&["green", "emerald", "mint"], &[Colours(Mood::Forest, 1)]),
    (&["purple", "violet", "magenta"], &[Colours(Mood::Space, 1)]),
    (&["orange"], &[Colours(Mood::Autumn, 1)]),
    (&["bird", "seagull", "gull", "swallow", "crow", "eagle", "🐦"], &[Add(Birds)]),
    (&["flow", "stream", "wind", "ribbon", "hair", "motion", "music", "dance"],
        &[Subject(Motif::Streams, 2)]),
    (&["orb", "circle", "bubble", "ball", "sphere", "dot", "balloon", "marble", "🎈", "🫧"],
        &[Subject(Motif::Orbs, 2)]),
    (&["silk", "abstract", "smoke", "liquid", "fluid", "cloth", "paint", "texture", "pattern"],
        &[Subject(Motif::Silk, 2)]),
];

impl Reading {
    /// What a prompt asks for. Where it does not say, `of_prompt` chooses the subject, so that all seeds of a
    /// prompt show the same, and `of_seed` the colours.
    pub(super) fn of(prompt: &str, of_prompt: Root, of_seed: Root) -> Self {
        let mut mood: Option<(Mood, u8)> = None;
        let mut motif: Option<(Motif, u8)> = None;
        let mut extras = Vec::new();
        for wish in wishes(prompt) {
            match wish {
                Colours(asked, strength) => {
                    if mood.is_none_or(|(_, strongest)| strength > strongest) {
                        mood = Some((asked, strength));
                    }
                }
                Subject(asked, strength) => {
                    if motif.is_none_or(|(_, strongest)| strength > strongest) {
                        motif = Some((asked, strength));
                    }
                }
                Add(extra) => {
                    if !extras.contains(&extra) {
                        extras.push(extra);
                    }
                }
            }
        }
        let motif = motif.map_or_else(|| any_motif(&extras, of_prompt), |(motif, _)| motif);
        let mood_is_named = mood.is_some();
        let mood = mood.map_or_else(|| any_mood(motif, of_seed), |(mood, _)| mood);
        Self {
            mood,
            motif,
            extras,
            mood_is_named,
        }
    }

    /// Whether the prompt asks for this addition.
    pub(super) fn has(&self, extra: Extra) -> bool {
        self.extras.contains(&extra)
    }
}

/// The wishes of a prompt's words, in its order; of its pictographs after them.
fn wishes(prompt: &str) -> impl Iterator<Item = Wish> {
    let words = prompt
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| (2..=16).contains(&word.len()))
        .map(str::to_ascii_lowercase);
    let of_words = words.filter_map(|word| {
        let single = word.strip_suffix('s').unwrap_or(&word);
        VOCABULARY
            .iter()
            .find(|(names, _)| names.contains(&word.as_str()) || names.contains(&single))
    });
    let of_signs = VOCABULARY
        .iter()
        .filter(|(names, _)| names.iter().any(|name| !name.is_ascii() && prompt.contains(name)));
    of_words
        .chain(of_signs)
        .flat_map(|(_, wishes)| wishes.iter().copied())
}

fn any_motif(extras: &[Extra], root: Root) -> Motif {
    let mut dice = root.dice("motif");
    if extras.is_empty() {
        dice.pick([
            Motif::Peaks,
            Motif::Hills,
            Motif::Forest,
            Motif::Dunes,
            Motif::Sea,
            Motif::Cosmos,
            Motif::Streams,
            Motif::Streams,
            Motif::Orbs,
            Motif::Silk,
        ])
    } else {
        dice.pick([Motif::Peaks, Motif::Hills, Motif::Forest])
    }
}

fn any_mood(motif: Motif, root: Root) -> Mood {
    use Mood::{
        Aurora, Autumn, Dawn, Desert, Fire, Forest, Gold, Ice, Mono, Neon, Night, Ocean, Pastel, Rose, Space,
        Storm, Sunset, Tropical,
    };
    let mut dice = root.dice("mood");
    match motif {
        Motif::Peaks => dice.pick([Sunset, Dawn, Ice, Night, Rose, Pastel, Autumn, Storm]),
        Motif::Hills => dice.pick([Forest, Dawn, Autumn, Pastel, Sunset, Gold, Rose, Tropical]),
        Motif::Forest => dice.pick([Forest, Autumn, Dawn, Night, Ice, Sunset, Storm]),
        Motif::Dunes => dice.pick([Desert, Sunset, Gold, Night, Dawn]),
        Motif::Sea => dice.pick([Ocean, Sunset, Dawn, Tropical, Night, Storm, Rose]),
        Motif::City => dice.pick([Neon, Sunset, Night, Dawn, Rose, Pastel]),
        Motif::Cosmos => dice.pick([Space, Space, Aurora, Fire, Night, Rose]),
        Motif::Streams | Motif::Orbs | Motif::Silk => dice.pick([
            Sunset, Ocean, Tropical, Neon, Pastel, Autumn, Desert, Rose, Gold, Mono, Space, Aurora,
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prompt: &str) -> Reading {
        let root = Root::of_prompt(prompt);
        Reading::of(prompt, root, root.with_seed(1))
    }

    #[test]
    fn strongest_word_wins_and_plurals_count() {
        let reading = read("A Neon CITY at night, with birds");
        assert_eq!((reading.mood, reading.motif), (Mood::Neon, Motif::City));
        assert_eq!(reading.extras, [Stars, Birds]);
        assert_eq!(read("sunset over the oceans").motif, Motif::Sea);
        assert_eq!(read("sunset over the oceans").mood, Mood::Sunset);
        assert_eq!(read("mountains and lakes").extras, [Lake]);
    }

    #[test]
    fn pictographs_are_read() {
        assert_eq!(read("🌊🌅").motif, Motif::Sea);
        assert_eq!(read("🌊🌅").mood, Mood::Dawn);
    }

    #[test]
    fn subject_is_of_the_prompt_and_not_of_the_seed() {
        let root = Root::of_prompt("a cat");
        let motifs: Vec<_> = (0..20)
            .map(|seed| Reading::of("a cat", root, root.with_seed(seed)).motif)
            .collect();
        assert!(motifs.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn no_word_is_listed_twice_for_a_subject() {
        let mut seen = Vec::new();
        for (names, _) in VOCABULARY {
            for name in *names {
                assert!(!seen.contains(name), "{name}");
                seen.push(name);
            }
        }
    }
}
