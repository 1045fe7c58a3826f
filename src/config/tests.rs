use std::{collections::BTreeMap, path::Path};

use figment::{
    Figment, Provider,
    providers::{Format, Serialized, Toml},
    value::Value,
};

use super::{Config, load::variable};

const EXAMPLE: &str = include_str!("../../tidewell.toml.example");

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let path = std::env::temp_dir().join(format!("tidewell-config-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&path, file).unwrap();
    let variable = |name: &str| environment.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    let loaded = Config::load_from(Some(&path), variable);
    std::fs::remove_file(&path).unwrap();
    loaded.map_err(|error| error.to_string().replace(path.to_str().unwrap(), "FILE"))
}

fn fault(file: &str, environment: &[(&str, &str)]) -> String {
    load(file, environment).err().unwrap()
}

/// Settings by name, as figment sees them.
fn values(provider: impl Provider) -> BTreeMap<String, String> {
    let values: BTreeMap<String, Value> = Figment::from(provider).extract().unwrap();
    values.into_iter().map(|(name, value)| (name, serde_json::to_string(&value).unwrap())).collect()
}

#[test]
fn the_example_documents_every_setting_with_its_default_and_no_other() {
    let is_setting = |line: &&str| {
        let name = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    };
    let example: Vec<&str> = EXAMPLE.lines().filter_map(|line| line.strip_prefix("#")).filter(is_setting).collect();
    assert_eq!(values(Toml::string(&example.join("\n"))), values(Serialized::defaults(Config::default())));
    for line in example {
        let variable = variable(line.split(" = ").next().unwrap());
        assert!(EXAMPLE.contains(&variable) || variable.starts_with("TIDEWELL_"), "{variable} is not mentioned");
    }
    assert!(load(EXAMPLE, &[]).is_ok(), "it may be used as it is");
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let config = load("import_lines = 7\npoll_ms = 70", &[("TIDEWELL_POLL_MS", "700")]).unwrap();
    assert_eq!((config.import_lines, config.poll_ms, config.import_kb), (7, 700, 2048));
}

#[test]
fn a_text_stays_a_text_whatever_it_looks_like() {
    let config = load("", &[("ATHENA_KEY_12", "12345"), ("TIDEWELL_DATABASE_URL", "postgres://a:true@h/d")]).unwrap();
    assert_eq!(config.athena_key_12.as_deref(), Some("12345"));
    assert_eq!(config.database_url.as_deref(), Some("postgres://a:true@h/d"));
    assert_eq!(load("athena_key_12 = \"\"", &[]).unwrap().athena_key_12, None);
}

#[test]
fn variables_that_are_no_settings_are_not_looked_at() {
    assert!(load("", &[("TIDEWELL_PORT", "tcp://10.0.0.1:80"), ("TIDEWELL_SERVICE_HOST", "10.0.0.1")]).is_ok());
}

#[test]
fn a_fault_names_the_setting_what_it_was_and_what_it_must_be() {
    assert_eq!(
        fault("import_line = 5", &[]),
        "FILE: there is no setting \"import_line\": tidewell.toml.example lists those that exist"
    );
    assert_eq!(
        fault("", &[("TIDEWELL_IMPORT_LINES", "many")]),
        "import_lines (TIDEWELL_IMPORT_LINES) is \"many\", and must be a whole number, 0 or more"
    );
    assert_eq!(
        fault("import_lines = \"many\"", &[]),
        "FILE: import_lines (TIDEWELL_IMPORT_LINES) is \"many\", and must be a whole number, 0 or more"
    );
    assert_eq!(
        fault("", &[("TIDEWELL_IMPORT_LINES", "0")]),
        "import_lines (TIDEWELL_IMPORT_LINES) is 0, and must be 1 to 100000"
    );
    assert_eq!(
        fault("", &[("TIDEWELL_LISTEN", "here")]),
        "listen (TIDEWELL_LISTEN) is \"here\", and must be an IP address and a port, such as 127.0.0.1:8700"
    );
    assert_eq!(
        fault("log_format = \"xml\"", &[]),
        "FILE: log_format (TIDEWELL_LOG_FORMAT) is \"xml\", and must be text or json"
    );
    assert!(fault("", &[("TIDEWELL_IMPORT_LINES", "-1")]).contains("is -1, and must be a whole number"));
    assert!(fault("", &[("ATHENA_TYPESENSE_ALLOW_HTTP", "yes")]).ends_with("is \"yes\", and must be true or false"));
    assert!(fault("listen = ", &[]).starts_with("FILE: "));
    assert!(fault("", &[("TIDEWELL_LOG", "a=b=c")]).contains("(TIDEWELL_LOG) is \"a=b=c\""));
}

#[test]
fn a_lease_outlives_two_imports() {
    assert!(fault("lease_seconds = 20", &[]).contains("must be more than twice"));
    assert!(load("lease_seconds = 21", &[]).is_ok());
}

#[test]
fn a_missing_file_is_a_fault_only_where_it_was_named() {
    let missing = Path::new("/nowhere/tidewell.toml");
    assert!(Config::load_from(Some(missing), |_| None).is_err_and(|error| error.to_string().contains("/nowhere/")));
    let named = |name: &str| (name == "TIDEWELL_CONFIG").then(|| "/nowhere/tidewell.toml".to_owned());
    assert!(Config::load_from(None, named).is_err());
}

#[test]
fn plain_http_is_for_this_machine_unless_allowed() {
    let key = "typesense_api_key = \"k\"";
    let with = |url: &str, more: &str| load(&format!("typesense_url = \"{url}\"\n{key}\n{more}"), &[]);
    for good in ["https://search.example.com", "http://127.0.0.1:8108", "http://localhost:8108/", "http://[::1]:8108"] {
        assert!(with(good, "").is_ok(), "{good}");
    }
    assert!(with("http://10.0.0.7:8108", "athena_typesense_allow_http = true").is_ok());
    let refused = with("http://10.0.0.7:8108", "").err().unwrap();
    assert!(refused.contains("TIDEWELL_TYPESENSE_URL") && refused.contains("ATHENA_TYPESENSE_ALLOW_HTTP"), "{refused}");
    for bad in ["ftp://h", "search.example.com", "https://h/path", "https://h?x=1"] {
        assert!(with(bad, "").is_err(), "{bad}");
    }
    assert!(load("typesense_url = \"https://h\"", &[]).is_err(), "no key");
}

#[test]
fn the_nodes_of_a_cluster_are_divided_by_commas_and_the_faulty_one_is_named() {
    let with = |urls: &str| load("typesense_api_key = \"k\"", &[("TIDEWELL_TYPESENSE_URL", urls)]);
    assert!(with("https://a:8108, https://b:8108,https://c:8108").is_ok());
    assert_eq!(
        with("https://a,https://b/path").err().unwrap(),
        "address 2 of typesense_url (TIDEWELL_TYPESENSE_URL) must be like https://search.example.com:8108: leave out what follows the \
         host and port"
    );
    for bad in ["https://a,", ",https://a", "https://a,https://A/", "https://a https://b"] {
        assert!(with(bad).is_err(), "{bad}");
    }
}
