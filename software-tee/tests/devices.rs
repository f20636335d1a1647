//! The devices of production on fakes of the files that they read: named pipes behind which a thread
//! plays the kernel, with quotes of the software TEE. Not here: hardware.

use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_enclave::device::Device;
use obscuro_enclaved::{Gramine, Tdx};
use obscuro_protocol::attestation::{Policy, Stripped, Tee, platform_id, td_measurement, verify};
use obscuro_software_tee::{Authority, CollateralOptions, Enclave, Machine, Profile, TrustDomain};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;
const TIMEOUT: Duration = Duration::from_secs(5);

fn authority() -> Authority {
    Authority::development()
}

fn machine() -> Machine {
    authority().machine(&B256::repeat_byte(1), Profile::CURRENT)
}

/// Makes a pipe where a file should be. It replaces the one before at once: who reads the old one
/// to its end cannot see the new one's bytes.
fn pipe(path: &Path) {
    let aside = path.with_extension("new");
    assert!(Command::new("mkfifo").arg(&aside).status().unwrap().success());
    fs::rename(aside, path).unwrap();
}

/// Answers each read of the pipe with what `answer` makes of the report data in `input`.
fn serve(
    input: PathBuf,
    pipe_at: PathBuf,
    mut answer: impl FnMut([u8; 64]) -> Vec<u8> + Send + 'static,
) {
    pipe(&pipe_at);
    thread::spawn(move || {
        // Opening waits for a reader. The test's end leaves the last one waiting for ever.
        while let Ok(mut writer) = fs::OpenOptions::new().write(true).open(&pipe_at) {
            let report_data = fs::read(&input).unwrap().try_into().unwrap();
            let bytes = answer(report_data);
            pipe(&pipe_at);
            // A reader that has seen enough closes first.
            let _ = std::io::Write::write_all(&mut writer, &bytes);
        }
    });
}

fn check(device: &dyn Device, tee: Tee, measurement: B256) {
    let of_machine = machine().certificates().map(Bytes::copy_from_slice).to_vec();
    let collateral = authority().collateral(&machine(), tee, &CollateralOptions::default());
    let policy = Policy::admitting(vec![measurement]);
    for text in ["first", "second"] {
        let Stripped { quote, certificates } = device.quote(keccak256(text)).unwrap();
        assert_eq!(certificates, of_machine);
        let root = authority().root.certificate;
        let attested = verify(&quote, &collateral, &root, &policy, TIME).unwrap();
        assert_eq!(attested.check_report_data(keccak256(text)), Ok(()));
    }
    let (mut first, mut second) = ([0; 32], [0; 32]);
    device.entropy(&mut first);
    device.entropy(&mut second);
    assert_ne!(first, second);
}

mod gramine {
    use super::*;

    fn fake(answer: impl FnMut([u8; 64]) -> Vec<u8> + Send + 'static) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("keys")).unwrap();
        fs::write(path.join("keys/_sgx_mrenclave"), [7; 16]).unwrap();
        fs::write(path.join("keys/_sgx_mrsigner"), [8; 16]).unwrap();
        fs::write(path.join("attestation_type"), "dcap\n").unwrap();
        fs::write(path.join("user_report_data"), [0; 64]).unwrap();
        serve(path.join("user_report_data"), path.join("quote"), answer);
        directory
    }

    fn program() -> Enclave {
        Enclave::new(keccak256("program"))
    }

    fn honest(report_data: [u8; 64]) -> Vec<u8> {
        machine().sgx_quote(&program(), &report_data)
    }

    fn error(directory: &Path) -> String {
        Gramine::open(directory).err().expect("refused").to_string()
    }

    #[test]
    fn quotes_over_any_report_data() {
        let directory = fake(honest);
        let device = Gramine::open(directory.path()).unwrap();
        check(&device, Tee::Sgx, program().measurement);
    }

    /// A machine is certified anew while the program runs: its provisioning enclave was updated.
    #[test]
    fn certificates_are_those_of_the_quote() {
        let renewed = || authority().machine(&B256::repeat_byte(2), Profile::CURRENT);
        let mut count = 0;
        let directory = fake(move |report_data| {
            count += 1;
            match count {
                1 => honest(report_data),
                _ => renewed().sgx_quote(&program(), &report_data),
            }
        });
        let device = Gramine::open(directory.path()).unwrap();
        let Stripped { quote, certificates } = device.quote(keccak256("later")).unwrap();
        assert_eq!(certificates[0], renewed().pck.certificate);
        assert_eq!(quote[1..33], platform_id(&certificates[0]).unwrap()[..]);
    }

    #[test]
    fn the_sealing_key_is_that_of_the_program_on_this_cpu() {
        let directory = fake(honest);
        let key = || *Gramine::open(directory.path()).unwrap().sealing_key().expose();
        let before = key();
        assert_eq!(key(), before);
        // The signer's key must not matter.
        fs::remove_file(directory.path().join("keys/_sgx_mrsigner")).unwrap();
        assert_eq!(key(), before);
        fs::write(directory.path().join("keys/_sgx_mrenclave"), [9; 16]).unwrap();
        assert_ne!(key(), before);
        for missing in [&[][..], &[0; 16], &[7; 15], &[7; 17]] {
            fs::write(directory.path().join("keys/_sgx_mrenclave"), missing).unwrap();
            assert!(error(directory.path()).contains("sealing key is missing"));
        }
    }

    #[test]
    fn a_quote_of_the_host_is_noticed() {
        let other = fake(|_| honest([1; 64]));
        assert!(error(other.path()).contains("other report data"));
        for nonsense in [Vec::new(), vec![3; 100], vec![3; 100_000]] {
            let directory = fake(move |_| nonsense.clone());
            assert!(error(directory.path()).contains("the quote: "));
        }
    }

    #[test]
    fn other_attestation_or_none_is_refused() {
        let directory = fake(honest);
        fs::write(directory.path().join("attestation_type"), "none").unwrap();
        assert!(error(directory.path()).contains("none, not dcap"));
        assert!(error(Path::new("/nowhere")).contains("attestation type"));
    }
}

mod tdx {
    use super::*;

    /// What the kernel and the host's quoting service do with one request.
    #[derive(Clone, Copy, PartialEq)]
    enum Behaviour {
        Honest,
        Empty,
        /// Another process writes in between.
        Contested,
        Other,
    }

    /// The interface, with what it does first; it is honest afterwards.
    fn fake(first: Vec<Behaviour>) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(format!("obscuro-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("provider"), "tdx_guest\n").unwrap();
        fs::write(path.join("inblob"), [0; 64]).unwrap();
        fs::write(path.join("generation"), "0\n").unwrap();
        let mut behaviours = first.into_iter();
        let mut generation = 0;
        let counter = path.join("generation");
        serve(path.join("inblob"), path.join("outblob"), move |report_data| {
            let behaviour = behaviours.next().unwrap_or(Behaviour::Honest);
            generation += if behaviour == Behaviour::Contested { 2 } else { 1 };
            fs::write(&counter, format!("{generation}\n")).unwrap();
            match behaviour {
                Behaviour::Empty => Vec::new(),
                Behaviour::Other => machine().tdx_quote(&domain(), &[9; 64]),
                _ => machine().tdx_quote(&domain(), &report_data),
            }
        });
        directory
    }

    fn domain() -> TrustDomain {
        TrustDomain::new([1; 48], [[2; 48], [3; 48], [4; 48], [5; 48]])
    }

    fn measurement() -> B256 {
        td_measurement(&domain().mrtd, &domain().rtmr)
    }

    #[test]
    fn quotes_over_any_report_data() {
        let directory = fake(Vec::new());
        let device = Tdx::open(directory.path(), TIMEOUT).unwrap();
        check(&device, Tee::Tdx, measurement());
    }

    #[test]
    fn empty_contested_and_foreign_quotes_are_asked_for_again() {
        use Behaviour::*;
        let directory = fake(vec![Empty, Contested, Other, Honest, Contested, Empty, Other]);
        let device = Tdx::open(directory.path(), TIMEOUT).unwrap();
        check(&device, Tee::Tdx, measurement());
    }

    #[test]
    fn waiting_ends() {
        let directory = fake(vec![Behaviour::Empty; 1_000]);
        let error = Tdx::open(directory.path(), Duration::from_millis(200)).err().unwrap();
        assert!(error.to_string().contains("empty or contested"), "{error}");
    }

    #[test]
    fn another_provider_or_none_is_refused() {
        let directory = fake(Vec::new());
        let path = directory.path().join(format!("obscuro-{}/provider", std::process::id()));
        fs::write(path, "sev_guest").unwrap();
        let error = Tdx::open(directory.path(), TIMEOUT).err().unwrap().to_string();
        assert!(error.contains("sev_guest"), "{error}");
        assert!(Tdx::open(Path::new("/nowhere"), TIMEOUT).is_err());
    }

    #[test]
    fn nothing_sealed_survives_a_restart() {
        let directory = fake(Vec::new());
        let key = |device: &Tdx| *device.sealing_key().expose();
        let device = Tdx::open(directory.path(), TIMEOUT).unwrap();
        let before = key(&device);
        assert_eq!(key(&device), before);
        let device = Tdx::open(directory.path(), TIMEOUT).unwrap();
        assert_ne!(key(&device), before);
    }
}
