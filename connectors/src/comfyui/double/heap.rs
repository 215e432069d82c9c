//! The server's queue: a binary heap whose comparison can fail. Two prompts of one number and one id make
//! the server compare their graphs, which cannot be ordered; what it was doing is then left half done. Pure.

use super::world::Item;

/// Two prompts of the same number and id met in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tie;

fn less(a: &Item, b: &Item) -> Result<bool, Tie> {
    match a
        .number
        .total_cmp(&b.number)
        .then_with(|| a.prompt_id.cmp(&b.prompt_id))
    {
        std::cmp::Ordering::Less => Ok(true),
        std::cmp::Ordering::Greater => Ok(false),
        std::cmp::Ordering::Equal => Err(Tie),
    }
}

/// Puts a prompt in. After a tie it is in all the same.
pub(super) fn push(heap: &mut Vec<Item>, item: Item) -> Result<(), Tie> {
    heap.push(item);
    let last = heap.len() - 1;
    rise(heap, 0, last)
}

/// Takes the first prompt out. After a tie it is lost.
pub(super) fn pop(heap: &mut Vec<Item>) -> Result<Option<Item>, Tie> {
    let Some(last) = heap.pop() else {
        return Ok(None);
    };
    let Some(root) = heap.first_mut() else {
        return Ok(Some(last));
    };
    let first = std::mem::replace(root, last);
    sink(heap, 0)?;
    Ok(Some(first))
}

/// Takes the prompt at a place out. After a tie it is out, and the order of the others is not restored.
pub(super) fn remove(heap: &mut Vec<Item>, place: usize) -> Result<(), Tie> {
    heap.remove(place);
    for parent in (0..heap.len() / 2).rev() {
        sink(heap, parent)?;
    }
    Ok(())
}

/// Moves an item towards the root until its parent is not larger.
fn rise(heap: &mut [Item], root: usize, mut place: usize) -> Result<(), Tie> {
    while place > root {
        let parent = (place - 1) / 2;
        if !less(&heap[place], &heap[parent])? {
            break;
        }
        heap.swap(place, parent);
        place = parent;
    }
    Ok(())
}

/// Moves an item down to a leaf along the smaller children, then up to its place: so the server does it,
/// and so it is decided who is compared with whom.
fn sink(heap: &mut [Item], root: usize) -> Result<(), Tie> {
    let mut place = root;
    loop {
        let left = 2 * place + 1;
        if left >= heap.len() {
            break;
        }
        let right = left + 1;
        let child = if right < heap.len() && !less(&heap[left], &heap[right])? {
            right
        } else {
            left
        };
        heap.swap(place, child);
        place = child;
    }
    rise(heap, root, place)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(number: f64, id: &str) -> Item {
        Item {
            number,
            shown_number: Value::Null,
            prompt_id: id.to_owned(),
            graph: json!({}),
            extra_data: Value::Null,
            outputs: Vec::new(),
        }
    }

    #[test]
    fn prompts_leave_by_number_and_then_by_id() {
        let mut heap = Vec::new();
        for (number, id) in [(5.0, "b"), (3.0, "x"), (-1000.5, "late"), (5.0, "a"), (4.0, "y")] {
            push(&mut heap, item(number, id)).unwrap();
        }
        let place = heap.iter().position(|item| item.prompt_id == "x").unwrap();
        remove(&mut heap, place).unwrap();
        let mut ids = Vec::new();
        while let Some(item) = pop(&mut heap).unwrap() {
            ids.push(item.prompt_id);
        }
        assert_eq!(ids, ["late", "y", "a", "b"]);
    }

    #[test]
    fn a_tie_shows_when_the_two_meet_and_not_before() {
        let mut heap = Vec::new();
        push(&mut heap, item(1.0, "other")).unwrap();
        push(&mut heap, item(5.0, "twin")).unwrap();
        // compared with its parent only, which is the other one
        push(&mut heap, item(5.0, "twin")).unwrap();
        assert_eq!(pop(&mut heap), Err(Tie));
        assert_eq!(heap.len(), 2, "the first is lost");

        let mut heap = vec![item(5.0, "twin")];
        assert_eq!(push(&mut heap, item(5.0, "twin")), Err(Tie));
        assert_eq!(heap.len(), 2);
    }
}
