//! What takes the room on the disk, for `dray system df`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use dray::engine::{Container, Engine, Volume, VolumeUsers, volumes};
use dray::images::{Image, Kept, StoreUsage};
use dray::oci::Digest;

use super::ps::{self, ImageNames};
use super::{images, table};

/// All of it.
pub struct Usage {
    images: Vec<Image>,
    /// Digests of images that a container or a deployment has.
    needed: BTreeSet<Digest>,
    store: StoreUsage,
    /// With what each has written.
    containers: Vec<(Container, u64)>,
    /// With what is in each.
    volumes: Vec<(Volume, u64)>,
    users: VolumeUsers,
}

/// One line of the table.
pub struct Kind {
    pub name: &'static str,
    pub total: usize,
    pub active: usize,
    pub size: u64,
    free: u64,
}

impl Kind {
    /// What could be removed: `4.04MB (100%)`.
    pub fn reclaimable(&self) -> String {
        let size = table::short_size(self.free);
        match (self.free * 100).checked_div(self.size) {
            Some(percent) => format!("{size} ({percent}%)"),
            None => size,
        }
    }
}

impl Usage {
    /// Looks at every container's and every volume's files.
    pub fn of(engine: &Engine) -> anyhow::Result<Usage> {
        let pins = engine.images().pins()?;
        let written = |container: Container| {
            let bytes = engine.written(container.id());
            (container, bytes)
        };
        let held = |volume: Volume| {
            let bytes = volumes::size(&volume.data);
            (volume, bytes)
        };
        Ok(Usage {
            images: engine.images().list()?,
            needed: pins.into_iter().flat_map(|pin| pin.images).collect(),
            store: engine.images().usage(&engine.layers_in_use()?)?,
            containers: engine.list()?.into_iter().map(written).collect(),
            volumes: engine.volumes()?.into_iter().map(held).collect(),
            users: engine.volume_users()?,
        })
    }

    /// The lines of the table.
    pub fn kinds(&self) -> [Kind; 4] {
        let is_needed = |image: &&Image| self.needed.contains(&image.digest);
        let needed: BTreeSet<&Digest> = self
            .images
            .iter()
            .filter(is_needed)
            .flat_map(|image| &image.layers)
            .collect();
        let layers = &self.store.layers;
        let unpacked = layers.values().sum::<u64>();
        let abandoned = self.store.abandoned;
        let size = unpacked + self.store.damaged + self.store.blobs + abandoned;
        let used: u64 = needed.iter().filter_map(|layer| layers.get(layer)).sum();
        let active = self.images.iter().filter(is_needed).count();
        let runs = |(container, _): &&(Container, u64)| container.status.is_attended();
        let is_held = |(volume, _): &&(Volume, u64)| self.users.may_have(&volume.name);
        let partial = &self.store.partial;
        [
            Kind {
                name: "Images",
                total: self.images.len(),
                active,
                size,
                // Documents go with their images; they are small.
                free: match active {
                    0 => size,
                    _ => unpacked - used + self.store.damaged_free + abandoned,
                },
            },
            kind("Containers", &self.containers, runs),
            kind("Local Volumes", &self.volumes, is_held),
            Kind {
                name: "Partial Downloads",
                total: partial.len(),
                active: partial.values().filter(|partial| partial.is_active).count(),
                size: partial.values().map(|partial| partial.bytes).sum(),
                free: partial
                    .values()
                    .filter(|partial| !partial.is_active)
                    .map(|partial| partial.bytes)
                    .sum(),
            },
        ]
    }

    /// Everything one by one.
    pub fn print(&self, engine: &Engine, now: SystemTime) {
        println!("Images space usage:\n");
        self.print_images(now);
        println!("\nContainers space usage:\n");
        self.print_containers(engine, now);
        println!("\nLocal Volumes space usage:\n");
        self.print_volumes();
        println!("\nPartial Downloads space usage:\n");
        self.print_partials(now);
        if let Ok(free) = engine.images().free() {
            println!("\nRoom for images: {}", table::short_size(free));
        }
    }

    fn print_images(&self, now: SystemTime) {
        const HEADINGS: [&str; 8] = [
            "REPOSITORY",
            "TAG",
            "IMAGE ID",
            "CREATED",
            "SIZE",
            "SHARED SIZE",
            "UNIQUE SIZE",
            "CONTAINERS",
        ];
        let mut times: BTreeMap<&Digest, usize> = BTreeMap::new();
        for image in &self.images {
            for layer in image.layers.iter().collect::<BTreeSet<_>>() {
                *times.entry(layer).or_default() += 1;
            }
        }
        let rows = self.images.iter();
        let rows = rows.flat_map(|image| self.image_rows(image, &times, now));
        table::print(HEADINGS, &rows.collect::<Vec<_>>());
    }

    fn print_containers(&self, engine: &Engine, now: SystemTime) {
        const HEADINGS: [&str; 8] = [
            "CONTAINER ID",
            "IMAGE",
            "COMMAND",
            "LOCAL VOLUMES",
            "SIZE",
            "CREATED",
            "STATUS",
            "NAMES",
        ];
        let names = ImageNames::of(engine, self.containers.iter().map(|(one, _)| one));
        let row = |(container, bytes): &(Container, u64)| {
            let mounts = &container.record.mounts;
            let volumes = mounts.iter().filter(|mount| mount.kind == "volume").count();
            [
                container.id()[..12].to_owned(),
                names.cut(container),
                ps::command(container, false),
                volumes.to_string(),
                table::short_size(*bytes),
                format!("{} ago", ps::since(&container.record.created, now)),
                ps::status(container, now),
                container.name().to_owned(),
            ]
        };
        let rows: Vec<_> = self.containers.iter().map(row).collect();
        table::print(HEADINGS, &rows);
    }

    fn print_volumes(&self) {
        let row = |(volume, bytes): &(Volume, u64)| {
            [
                volume.name.clone(),
                self.users.count(&volume.name).to_string(),
                table::short_size(*bytes),
            ]
        };
        let rows: Vec<_> = self.volumes.iter().map(row).collect();
        table::print(["VOLUME NAME", "LINKS", "SIZE"], &rows);
    }

    fn print_partials(&self, now: SystemTime) {
        let row = |(blob, partial): (&Digest, &Kept)| {
            let age = now.duration_since(partial.changed).unwrap_or_default();
            [
                blob.hex()[..12].to_owned(),
                table::short_size(partial.bytes),
                format!("{} ago", table::span(age.as_secs())),
            ]
        };
        let rows: Vec<_> = self.store.partial.iter().map(row).collect();
        table::print(["BLOB", "SIZE", "CHANGED"], &rows);
    }

    fn image_rows(
        &self,
        image: &Image,
        times: &BTreeMap<&Digest, usize>,
        now: SystemTime,
    ) -> Vec<[String; 8]> {
        let layers: BTreeSet<&Digest> = image.layers.iter().collect();
        let size = |layer: &&Digest| self.store.layers.get(*layer).copied().unwrap_or_default();
        let (shared, own): (Vec<_>, Vec<_>) = layers
            .into_iter()
            .partition(|layer| times.get(*layer).is_some_and(|times| *times > 1));
        let [shared, own] = [shared, own].map(|part| part.iter().map(size).sum::<u64>());
        let has = |(container, _): &&(Container, u64)| container.record.image == image.id;
        let containers = self.containers.iter().filter(has).count();
        let row = |[repository, tag]: [String; 2]| {
            [
                repository,
                tag,
                image.id.hex()[..12].to_owned(),
                table::age(image.created.as_deref().unwrap_or_default(), now),
                table::short_size(image.size),
                table::short_size(shared),
                table::short_size(own),
                containers.to_string(),
            ]
        };
        images::names(image).into_iter().map(row).collect()
    }
}

fn kind<T>(name: &'static str, all: &[(T, u64)], is_active: impl Fn(&&(T, u64)) -> bool) -> Kind {
    let size: u64 = all.iter().map(|(_, bytes)| bytes).sum();
    let used: u64 = all.iter().filter(&is_active).map(|(_, bytes)| bytes).sum();
    Kind {
        name,
        total: all.len(),
        active: all.iter().filter(&is_active).count(),
        size,
        free: size - used,
    }
}
