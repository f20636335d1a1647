//! The contracts as Rust declares them, in every `sol!` block, against the ABI of the committed
//! artifacts: each function, event and error with its types, names and order. Not here: whether the
//! artifacts are those of the sources (the contracts' own check).

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// In which contracts the items of an interface, or one that stands alone, must be: in each, or in one
/// of them. Names of arguments must be those of Solidity's interfaces; its contracts may choose others.
const IMPLEMENTED: &[(&str, Rule, &[&str])] = &[
    ("INetworkManagement", Rule::Each, &["NetworkManagement", "INetworkManagement"]),
    ("IRollupManagement", Rule::Each, &["RollupManagement", "IRollupManagement"]),
    ("IBridgeManagement", Rule::Each, &["BridgeManagement", "IBridgeManagement"]),
    ("IL2Bridge", Rule::Each, &["L2Bridge", "IL2Bridge"]),
    ("IRewardPool", Rule::Each, &["RewardPool", "IRewardPool"]),
    ("IObscuroToken", Rule::Each, &["ObscuroToken"]),
    ("IERC20", Rule::Each, &["ObscuroToken", "WrappedToken"]),
    ("function decimals", Rule::Each, &["ObscuroToken", "WrappedToken"]),
    ("function totalSupply", Rule::Each, &["ObscuroToken", "WrappedToken"]),
    ("function isAncestor", Rule::Each, &["RollupManagement", "IRollupManagement"]),
    ("error WithdrawalsSuspended", Rule::Each, &["BridgeManagement", "IBridgeManagement"]),
    ("IAttestationVerifier", Rule::Each, &["AttestationVerifier", "IAttestationVerifier"]),
    (
        "IManagementErrors",
        Rule::One,
        &[
            "NetworkManagement",
            "RollupManagement",
            "BridgeManagement",
            "AttestationVerifier",
            "ObscuroToken",
        ],
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Rule {
    Each,
    One,
}

/// `kind name(inputs) (outputs)`, structs written out as tuples.
type Signature = String;

#[test]
fn what_rust_declares_is_in_the_artifacts() {
    let mut seen = BTreeSet::new();
    for declaration in declarations() {
        let Declaration { file, owner, item } = &declaration;
        let (name, rule, contracts) = IMPLEMENTED
            .iter()
            .find(|(name, ..)| name == owner)
            .unwrap_or_else(|| panic!("{}: which contract has {owner}?", file.display()));
        seen.insert(*name);
        let has = |contract: &&&str| {
            let named = contract.starts_with('I');
            abi(contract, named).contains(&item.signature(named))
        };
        let found = contracts.iter().filter(has).count();
        let expected = if *rule == Rule::One { 1 } else { contracts.len() };
        assert!(
            found >= expected,
            "{}: not in all of {contracts:?}: {}",
            file.display(),
            item.signature(true)
        );
    }
    for (name, ..) in IMPLEMENTED {
        assert!(seen.contains(name), "{name} is declared nowhere");
    }
}

#[test]
fn a_difference_is_noticed() {
    let text = "
        struct Pair { uint64 a; bytes32 b; }
        event Happened(address indexed who, Pair pair, uint256[] list);
        interface IThing {
            /// Not an item; nor this.
            function twice(Pair calldata pair, string calldata s) external payable returns (bool);
            error Bad(uint64 a, uint256 b);
        }";
    let items: Vec<_> =
        parse(text).into_iter().map(|(owner, item)| (owner, item.signature(true))).collect();
    let expected = [
        (
            "event Happened",
            "event Happened(address who indexed,(uint64 a,bytes32 b) pair,uint256[] list)",
        ),
        ("IThing", "function twice((uint64 a,bytes32 b) pair,string s) (bool )"),
        ("IThing", "error Bad(uint64 a,uint256 b)"),
    ];
    let expected = expected.map(|(owner, item)| (owner.to_string(), item.to_string()));
    assert_eq!(items, expected);
}

/// Something that Rust declares.
struct Declaration {
    file: PathBuf,
    /// The interface around it, or its kind and name.
    owner: String,
    item: Item,
}

/// A function, event or error.
struct Item {
    kind: String,
    name: String,
    inputs: Vec<Parameter>,
    outputs: Vec<Parameter>,
}

struct Parameter {
    /// Elementary, or the fields of a struct.
    elementary: String,
    fields: Vec<Parameter>,
    /// `[]` and the like.
    array: String,
    name: String,
    indexed: bool,
}

impl Item {
    /// Outputs are never named: Rust and Solidity need not agree on that.
    fn signature(&self, named: bool) -> Signature {
        let Self { kind, name, inputs, outputs } = self;
        let returns = match outputs.as_slice() {
            [] => String::new(),
            outputs => format!(" {}", tuple(outputs, false)),
        };
        format!("{kind} {name}{}{returns}", tuple(inputs, named))
    }
}

fn tuple(parameters: &[Parameter], named: bool) -> String {
    let parts: Vec<String> = parameters.iter().map(|parameter| parameter.text(named)).collect();
    format!("({})", parts.join(","))
}

impl Parameter {
    fn text(&self, named: bool) -> String {
        // Names of fields are part of what a struct means, also in outputs.
        let base = if self.fields.is_empty() {
            self.elementary.clone()
        } else {
            tuple(&self.fields, true)
        };
        let name = if named { &self.name } else { "" };
        let indexed = if self.indexed { " indexed" } else { "" };
        format!("{base}{} {name}{indexed}", self.array)
    }
}

/// The ABI of a committed artifact.
fn abi(contract: &str, named: bool) -> BTreeSet<Signature> {
    let path = root().join("contracts/artifacts").join(format!("{contract}.json"));
    let artifact: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let items = artifact["abi"].as_array().unwrap().iter();
    items
        .filter(|item| item["name"].is_string())
        .map(|item| from_abi(item).signature(named))
        .collect()
}

fn from_abi(item: &Value) -> Item {
    let text = |key: &str| item[key].as_str().unwrap_or_default().to_string();
    let parameters =
        |key: &str| item[key].as_array().into_iter().flatten().map(parameter).collect();
    Item {
        kind: text("type"),
        name: text("name"),
        inputs: parameters("inputs"),
        outputs: parameters("outputs"),
    }
}

fn parameter(value: &Value) -> Parameter {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let (base, array) = split_array(text("type"));
    Parameter {
        elementary: base.to_string(),
        fields: value["components"].as_array().into_iter().flatten().map(parameter).collect(),
        array: array.to_string(),
        name: text("name").to_string(),
        indexed: value["indexed"] == true,
    }
}

fn split_array(kind: &str) -> (&str, &str) {
    kind.split_at(kind.find('[').unwrap_or(kind.len()))
}

/// Every `sol!` block of the packages' sources.
fn declarations() -> Vec<Declaration> {
    let mut found = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for block in text.split("\nsol! {").skip(1) {
            let block = block.split("\n}\n").next().unwrap();
            for (owner, item) in parse(block) {
                found.push(Declaration { file: file.clone(), owner, item });
            }
        }
    }
    found
}

/// The Rust files of all packages, without tests and benches, which call contracts of others too.
fn sources() -> Vec<PathBuf> {
    let packages = fs::read_dir(root()).unwrap().flatten();
    let packages = packages.map(|package| package.path()).filter(|path| !path.ends_with("benches"));
    let mut folders: Vec<PathBuf> = packages.map(|package| package.join("src")).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                _ => {}
            }
        }
    }
    files
}

/// The items in a text of Solidity with their owners.
fn parse(text: &str) -> Vec<(String, Item)> {
    let is_code =
        |line: &&str| !line.trim_start().starts_with("//") && !line.trim_start().starts_with("#[");
    let text: Vec<&str> = text.lines().filter(is_code).collect();
    let (mut structs, mut items, mut interface) = (BTreeMap::new(), Vec::new(), None);
    let text = text.join(" ");
    let mut rest = text.as_str();
    while let Some(end) = rest.find(['{', '}', ';']) {
        let (statement, delimiter) = (rest[..end].trim(), &rest[end..=end]);
        rest = &rest[end + 1..];
        match (statement.split_once(' '), delimiter) {
            (Some(("struct", name)), "{") => {
                let (body, after) = rest.split_once('}').expect("a struct ends");
                rest = after;
                let fields = body.split(';').filter(|field| !field.trim().is_empty());
                let fields: Vec<String> = fields.map(|field| field.trim().to_string()).collect();
                structs.insert(name.to_string(), fields);
            }
            (Some(("interface", name)), "{") => interface = Some(name.to_string()),
            (None, "}") => interface = None,
            (Some((kind, declared)), ";") => {
                let item = declared_item(kind, declared, &structs);
                let owner = interface.clone().unwrap_or_else(|| format!("{kind} {}", item.name));
                items.push((owner, item));
            }
            _ => panic!("not understood: {statement:?} {delimiter}"),
        }
    }
    items
}

type Structs = BTreeMap<String, Vec<String>>;

fn declared_item(kind: &str, declared: &str, structs: &Structs) -> Item {
    let lists: Vec<&str> = declared.split(['(', ')']).collect();
    let parameters = |list: usize| {
        let texts = lists.get(list).into_iter().flat_map(|text| text.split(','));
        texts
            .filter(|text| !text.trim().is_empty())
            .map(|text| declared_parameter(text, structs))
            .collect()
    };
    Item {
        kind: kind.into(),
        name: lists[0].trim().into(),
        inputs: parameters(1),
        outputs: parameters(3),
    }
}

fn declared_parameter(text: &str, structs: &Structs) -> Parameter {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (base, array) = split_array(words[0]);
    let fields = structs.get(base).into_iter().flatten();
    let qualifiers = ["indexed", "calldata", "memory", "payable"];
    Parameter {
        elementary: base.into(),
        fields: fields.map(|field| declared_parameter(field, structs)).collect(),
        array: array.into(),
        name: words[1..]
            .iter()
            .find(|word| !qualifiers.contains(word))
            .copied()
            .unwrap_or("")
            .into(),
        indexed: words.contains(&"indexed"),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
