//! Quotes, certificates and collateral that a host altered, cut or made up: an error or the same
//! verdict, never a panic. Not here: refusals with a reason (`refusals`).

use alloy_primitives::{B256, Bytes, keccak256};
use obscuro_protocol::attestation::{
    Admitted, AttestationError, Attested, Collateral, Policy, Quote, Statement, TcbStatus, Tee,
    platform_id, restore, strip, verify,
};
use obscuro_software_tee::{Authority, CollateralOptions, Enclave, Machine, Profile, TrustDomain};
use proptest::{prelude::*, sample::Index};
use std::sync::LazyLock;

/// 20 June 2025.
const TIME: u64 = 1_750_377_600;

struct Honest {
    authority: Authority,
    machine: Machine,
    quotes: [Vec<u8>; 2],
    collateral: [Collateral; 2],
    attested: [Attested; 2],
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let authority = Authority::development();
    let machine = authority.machine(&B256::repeat_byte(1), Profile::CURRENT);
    let quotes = [
        machine.sgx_quote(&Enclave::new(keccak256("program")), &[7; 64]),
        machine.tdx_quote(&TrustDomain::new([1; 48], [[2; 48]; 4]), &[7; 64]),
    ];
    let collateral = [Tee::Sgx, Tee::Tdx]
        .map(|tee| authority.collateral(&machine, tee, &CollateralOptions::default()));
    let root = &authority.root.certificate;
    let attested =
        [0, 1].map(|tee| verify(&quotes[tee], &collateral[tee], root, &lenient(), TIME).unwrap());
    Honest { authority, machine, quotes, collateral, attested }
});

fn lenient() -> Policy {
    Policy {
        measurements: Admitted::Any,
        statuses: TcbStatus::ALL.to_vec(),
        ..Policy::admitting(Vec::new())
    }
}

fn judge(quote: &[u8], collateral: &Collateral) -> Result<Attested, AttestationError> {
    verify(quote, collateral, &HONEST.authority.root.certificate, &lenient(), TIME)
}

/// What a host can do to bytes.
#[derive(Clone, Debug)]
enum Mischief {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Overwrite(Index, Vec<u8>),
    Repeat(Index, Index),
}

fn mischief() -> impl Strategy<Value = Mischief> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        4 => (any::<Index>(), 1u8..).prop_map(|(at, mask)| Mischief::Flip(at, mask)),
        1 => any::<Index>().prop_map(Mischief::Cut),
        1 => (any::<Index>(), bytes()).prop_map(|(at, bytes)| Mischief::Insert(at, bytes)),
        2 => (any::<Index>(), bytes()).prop_map(|(at, bytes)| Mischief::Overwrite(at, bytes)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mischief::Repeat(from, to)),
    ]
}

impl Mischief {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        if out.is_empty() {
            return out;
        }
        match self {
            Self::Flip(at, mask) => {
                let at = at.index(out.len());
                out[at] ^= mask;
            }
            Self::Cut(at) => out.truncate(at.index(out.len())),
            Self::Insert(at, new) => {
                let at = at.index(out.len());
                out.splice(at..at, new.iter().copied());
            }
            Self::Overwrite(at, new) => {
                let at = at.index(out.len());
                let end = (at + new.len()).min(out.len());
                out[at..end].copy_from_slice(&new[..end - at]);
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(out.len()), to.index(out.len()));
                let part = out[from.min(to)..from.max(to)].to_vec();
                out.splice(to..to, part);
            }
        }
        out
    }
}

/// Applies mischief to one of the pieces of collateral.
fn spoil(collateral: &Collateral, piece: usize, mischief: &Mischief) -> Collateral {
    let mut spoilt = collateral.clone();
    let bytes: &mut Bytes = match piece {
        0 => &mut spoilt.pck_ca_certificate,
        1 => &mut spoilt.pck_certificate,
        2 => &mut spoilt.tcb_signer_certificate,
        3 => &mut spoilt.root_crl,
        4 => &mut spoilt.pck_crl,
        5 => &mut spoilt.tcb_info_signature,
        6 => &mut spoilt.qe_identity_signature,
        _ => {
            let text = if piece == 7 { &mut spoilt.tcb_info } else { &mut spoilt.qe_identity };
            *text = String::from_utf8_lossy(&mischief.apply(text.as_bytes())).into_owned();
            return spoilt;
        }
    };
    *bytes = mischief.apply(bytes).into();
    spoilt
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn altered_quotes(
        tee in 0usize..2,
        is_stripped in any::<bool>(),
        mischief in prop::collection::vec(mischief(), 1..4),
    ) {
        let honest = &HONEST.quotes[tee];
        let mut quote = if is_stripped { strip(honest).unwrap().quote.to_vec() } else { honest.clone() };
        for mischief in &mischief {
            quote = mischief.apply(&quote);
        }
        // Bytes behind the quote, in lengths, or in a chain that the collateral replaces do not count.
        if let Ok(attested) = judge(&quote, &HONEST.collateral[tee]) {
            prop_assert_eq!(&attested, &HONEST.attested[tee]);
        }
        let _ = strip(&quote);
        let _ = restore(&quote, &HONEST.machine.certificates());
        let _ = Collateral::from_json("{}", &quote);
    }

    #[test]
    fn altered_collateral(tee in 0usize..2, piece in 0usize..9, mischief in mischief()) {
        let collateral = spoil(&HONEST.collateral[tee], piece, &mischief);
        let _ = platform_id(&collateral.pck_certificate);
        let _ = (Statement::read(&collateral.tcb_info), Statement::read(&collateral.qe_identity));
        if let Ok(attested) = judge(&HONEST.quotes[tee], &collateral) {
            prop_assert_eq!(&attested, &HONEST.attested[tee]);
        }
    }

    #[test]
    fn made_up_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2_000), start in 0usize..4) {
        let start: &[u8] = [&[][..], &[1], &[3, 0, 2, 0, 0, 0, 0, 0], &[4, 0, 2, 0, 0x81, 0, 0, 0]][start];
        let bytes = [start, &bytes].concat();
        prop_assert!(judge(&bytes, &HONEST.collateral[0]).is_err());
        let _ = Quote::parse(&bytes).map(|quote| (quote.measurement(), quote.report_data()));
        let _ = Quote::parse_stripped(&bytes);
        let _ = platform_id(&bytes);
        let _ = Statement::read(&String::from_utf8_lossy(&bytes));
        let _ = Collateral::decode(&bytes);
        let _ = Collateral::from_json(&String::from_utf8_lossy(&bytes), &bytes);
    }

    #[test]
    fn altered_wire_forms(mischief in mischief()) {
        let bytes = mischief.apply(&HONEST.collateral[1].encode());
        if let Ok(collateral) = Collateral::decode(&bytes) {
            let _ = judge(&HONEST.quotes[1], &collateral);
        }
        let json = serde_json::to_string(&HONEST.collateral[0]).unwrap();
        let json = String::from_utf8_lossy(&mischief.apply(json.as_bytes())).into_owned();
        let _ = Collateral::from_json(&json, &HONEST.quotes[0]);
    }

    #[test]
    fn any_time(time in any::<u64>()) {
        let honest = &*HONEST;
        let root = &honest.authority.root.certificate;
        let verdict = verify(&honest.quotes[0], &honest.collateral[0], root, &lenient(), time);
        prop_assert!(matches!(verdict, Ok(_) | Err(AttestationError::Expired)));
    }
}
