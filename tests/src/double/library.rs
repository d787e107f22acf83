//! The published content and the tasks of the double's Connect.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// All content items and tasks, by number from 1.
#[derive(Default)]
pub(super) struct Library {
    shelves: Mutex<Shelves>,
}

/// A content item, in both generations of the API.
#[derive(Clone, Debug)]
pub(super) struct Content {
    id: usize,
    name: String,
    title: Option<String>,
    owner: String,
    /// The bundle that a deployment made active.
    bundle: Option<usize>,
}

/// An uploaded bundle.
#[derive(Clone, Debug)]
struct Bundle {
    content: usize,
    size: u64,
    sha256: String,
}

/// A deployment that is done when it has been asked about twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Task {
    id: usize,
    polls: usize,
}

impl Library {
    /// Makes a content item. `None` if there are too many.
    pub(super) fn create(&self, name: &str, title: Option<&str>, owner: &str) -> Option<Content> {
        let contents = &mut self.lock().contents;
        let content = Content {
            id: contents.len() + 1,
            name: name.to_owned(),
            title: title.map(str::to_owned),
            owner: owner.to_owned(),
            bundle: None,
        };
        (contents.len() < ITEM_LIMIT).then(|| contents.push(content.clone()))?;
        Some(content)
    }

    /// The content items, only those of this name if one is given.
    pub(super) fn list(&self, name: Option<&str>) -> Vec<Content> {
        let shelves = self.lock();
        let wanted = |content: &&Content| name.is_none_or(|name| content.name == name);
        shelves.contents.iter().filter(wanted).cloned().collect()
    }

    /// Finds a content item by number or GUID.
    pub(super) fn find(&self, key: &str) -> Option<Content> {
        let shelves = self.lock();
        let mut contents = shelves.contents.iter();
        contents.find(|content| content.answers_to(key)).cloned()
    }

    /// Changes title or name of a content item.
    pub(super) fn update(&self, key: &str, changes: &Value) -> Option<Content> {
        let mut shelves = self.lock();
        let mut contents = shelves.contents.iter_mut();
        let content = contents.find(|content| content.answers_to(key))?;
        if let Some(title) = changes.get("title") {
            content.title = title.as_str().map(str::to_owned);
        }
        if let Some(name) = changes.get("name").and_then(Value::as_str) {
            name.clone_into(&mut content.name);
        }
        Some(content.clone())
    }

    /// Adds a bundle to a content item; its description. `None` if there are too many.
    pub(super) fn add_bundle(&self, content: &Content, size: u64, sha256: &str) -> Option<Value> {
        let bundles = &mut self.lock().bundles;
        let bundle = Bundle {
            content: content.id,
            size,
            sha256: sha256.to_owned(),
        };
        let description = bundle.to_json(bundles.len() + 1);
        (bundles.len() < ITEM_LIMIT).then(|| bundles.push(bundle))?;
        Some(description)
    }

    /// Starts to deploy a bundle, the newest one unless it is named.
    ///
    /// `None` if the content has no such bundle, or there are too many tasks.
    pub(super) fn deploy(&self, content: &Content, bundle: Option<usize>) -> Option<Task> {
        let mut shelves = self.lock();
        let own = |number: &usize| {
            let bundle = shelves.bundles.get(number.checked_sub(1)?)?;
            (bundle.content == content.id).then_some(())
        };
        let number = match bundle {
            Some(number) => own(&number).map(|()| number),
            None => (1..=shelves.bundles.len())
                .rev()
                .find(|number| own(number).is_some()),
        }?;
        let task = Task {
            id: shelves.tasks.len() + 1,
            polls: 0,
        };
        (shelves.tasks.len() < ITEM_LIMIT).then(|| shelves.tasks.push(task))?;
        let mut contents = shelves.contents.iter_mut();
        contents.find(|item| item.id == content.id)?.bundle = Some(number);
        Some(task)
    }

    /// Looks at a task, which makes it go on.
    pub(super) fn poll(&self, key: &str) -> Option<Task> {
        let mut shelves = self.lock();
        let task = shelves.tasks.iter_mut().find(|task| task.key() == key)?;
        task.polls += 1;
        Some(*task)
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// The description; `base` is the public URL of the server.
    pub(super) fn to_json(&self, base: &str) -> Value {
        let (id, guid) = (self.id, self.guid());
        json!({
            "id": id,
            "guid": guid,
            "name": self.name,
            "title": self.title,
            "description": "",
            "access_type": "acl",
            "app_mode": "static",
            "content_category": "",
            "owner_guid": guid_of(USERS, 1),
            "owner_username": self.owner,
            "bundle_id": self.bundle.map(|bundle| bundle.to_string()),
            "url": format!("{base}/content/{guid}/"),
            "content_url": format!("{base}/content/{guid}/"),
            "dashboard_url": format!("{base}/connect/#/apps/{guid}"),
            "vanity_url": null,
            "app_role": "owner",
            "created_time": TIME,
            "last_deployed_time": TIME,
            "has_parameters": false,
        })
    }

    /// Where the dashboard shows this item.
    pub(super) fn config_json(&self, base: &str) -> Value {
        let guid = self.guid();
        json!({
            "config_url": format!("{base}/connect/#/apps/{guid}"),
            "logs_url": format!("{base}/connect/#/apps/{guid}/logs"),
        })
    }

    fn guid(&self) -> String {
        guid_of(CONTENTS, self.id)
    }

    fn answers_to(&self, key: &str) -> bool {
        key == self.guid() || key == self.id.to_string()
    }
}

impl Bundle {
    fn to_json(&self, number: usize) -> Value {
        json!({
            "id": number.to_string(),
            "app_id": self.content,
            "content_guid": guid_of(CONTENTS, self.content),
            "created_time": TIME,
            "active": false,
            "size": self.size,
            "metadata": {"sha256": self.sha256},
        })
    }
}

impl Task {
    /// The state for clients of the older API: lines from `first` on.
    pub(super) fn to_json_v0(self, first: usize) -> Value {
        json!({
            "id": self.key(),
            "user_id": 1,
            "status": self.lines(first),
            "last_status": self.polls.min(LINES.len()),
            "finished": self.finished(),
            "code": 0,
            "error": "",
            "result": null,
        })
    }

    /// The state for clients of the v1 API: lines from `first` on.
    pub(super) fn to_json_v1(self, first: usize) -> Value {
        json!({
            "id": self.key(),
            "output": self.lines(first),
            "last": self.polls.min(LINES.len()),
            "finished": self.finished(),
            "code": 0,
            "error": "",
            "result": null,
        })
    }

    /// The name of the task.
    pub(super) fn key(self) -> String {
        format!("task{}", self.id)
    }

    fn lines(self, first: usize) -> Vec<&'static str> {
        let shown = LINES.iter().take(self.polls).skip(first);
        shown.copied().collect()
    }

    fn finished(self) -> bool {
        self.polls >= LINES.len()
    }
}

#[derive(Default)]
struct Shelves {
    contents: Vec<Content>,
    bundles: Vec<Bundle>,
    tasks: Vec<Task>,
}

/// A GUID that is the same in every run.
pub(super) fn guid_of(kind: u16, number: usize) -> String {
    format!("c0de{kind:04x}-0000-4000-8000-{number:012x}")
}

/// The kinds of GUIDs.
pub(super) const USERS: u16 = 1;
const CONTENTS: u16 = 2;

/// When everything happened.
pub(super) const TIME: &str = "2026-11-22T00:00:00Z";

const LINES: [&str; 2] = ["Building static content...", "Launching static content..."];

const ITEM_LIMIT: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deploys_in_two_polls() {
        let library = Library::default();
        let content = library.create("a", Some("A"), "alice").unwrap();
        let other = library.create("b", None, "alice").unwrap();
        assert!(library.deploy(&content, None).is_none());
        let bundle = library.add_bundle(&content, 3, "ff").unwrap();
        assert_eq!(bundle["id"], "1");
        assert!(library.deploy(&other, Some(1)).is_none());
        assert!(library.deploy(&content, Some(0)).is_none());
        let task = library.deploy(&content, None).unwrap();
        let first = library.poll(&task.key()).unwrap().to_json_v1(0);
        assert_eq!(
            (&first["finished"], &first["last"]),
            (&json!(false), &json!(1))
        );
        let second = library.poll(&task.key()).unwrap().to_json_v0(1);
        assert_eq!(second["status"], json!([LINES[1]]));
        assert_eq!(second["finished"], true);
        assert_eq!(library.find("1").unwrap().to_json("")["bundle_id"], "1");
        assert_eq!(library.list(Some("b")).len(), 1);
        assert_eq!(library.list(None).len(), 2);
    }
}
