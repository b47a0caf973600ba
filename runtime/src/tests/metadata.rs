//! What other clients read of this runtime: its metadata.

use crate::*;
use pallet_swarm_learning::StudyInfo;
use scale_info::{MetaType, PortableRegistry, Registry, TypeDef, TypeInfo};

/// An item of a pallet, and its documentation line by line.
type Item = (String, Vec<&'static str>);

fn variants<T: TypeInfo>(of: &str) -> Vec<Item> {
    let TypeDef::Variant(all) = T::type_info().type_def else { panic!("{of} is no enum") };
    all.variants.into_iter().map(|it| (format!("{of}::{}", it.name), it.docs)).collect()
}

macro_rules! items {
    ($pallet:ident) => {{
        let name = stringify!($pallet);
        let stored = $pallet::Pallet::<Runtime>::storage_metadata().entries;
        let constants = $pallet::Pallet::<Runtime>::pallet_constants_metadata();
        [
            variants::<$pallet::Call<Runtime>>(&format!("{name}::Call")),
            variants::<$pallet::Event<Runtime>>(&format!("{name}::Event")),
            variants::<$pallet::Error<Runtime>>(&format!("{name}::Error")),
            // the counters of maps are FRAME's own
            stored
                .into_iter()
                .filter(|it| !it.name.starts_with("CounterFor"))
                .map(|it| (format!("{name}::{}", it.name), it.docs))
                .collect(),
            constants.into_iter().map(|it| (format!("{name}::{}", it.name), it.docs)).collect(),
        ]
        .concat()
    }};
}

#[test]
fn the_first_line_of_what_is_said_of_an_item_is_a_whole_sentence() {
    let items: Vec<Item> = [items!(pallet_consortium), items!(pallet_swarm_learning)].concat();
    assert!(items.len() > 150, "{} items", items.len());
    for (name, docs) in items {
        let lines: Vec<&str> = docs.iter().map(|line| line.trim()).collect();
        let first = *lines.first().unwrap_or(&"");
        let begins = first.starts_with(|c: char| c.is_uppercase() || c == '`');
        // pages show the first line alone, or all up to the first empty one
        assert!(begins && first.ends_with('.') && lines.get(1).is_none_or(|next| next.is_empty()), "{name}: {lines:?}");
    }
}

#[test]
fn institutions_are_accounts_and_texts_are_texts() {
    let mut registry = Registry::new();
    for each in [
        MetaType::new::<RuntimeCall>(),
        MetaType::new::<RuntimeEvent>(),
        MetaType::new::<StudyInfo>(),
        MetaType::new::<pallet_consortium::Institution>(),
    ] {
        registry.register_type(&each);
    }
    let known = PortableRegistry::from(registry);
    let named = |name: &str| known.types.iter().any(|it| it.ty.path.segments.last().is_some_and(|last| last == name));
    assert!(named("AccountId32") && named("StudyInfo") && named("Institution"));
    assert!(!named("InstitutionId"), "an institution of a study is shown as bytes");
    assert!(!named("Text"), "a text is shown as bytes");
    let text = |info: scale_info::Type<scale_info::form::MetaForm>, field: &str| {
        let TypeDef::Composite(it) = info.type_def else { panic!("no fields") };
        it.fields.iter().any(|it| it.name == Some(field) && it.ty == MetaType::new::<str>())
    };
    assert!(text(pallet_consortium::Institution::type_info(), "name"));
    assert!(text(pallet_consortium::Institution::type_info(), "profile"));
}
