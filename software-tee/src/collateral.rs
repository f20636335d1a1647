//! What Intel's provisioning certification service would answer about the software TEE: TCB info and
//! QE identity with their signatures, and revocation lists. Options make it stale or hostile, for
//! tests. Not here: certificates (`pki`).

use crate::{
    der::rfc3339,
    pki::{Authority, FMSPC, Machine, Profile, Serial, VALID_FROM, VALID_UNTIL},
    quote::QuotingEnclave,
};
use alloy_primitives::hex;
use obscuro_protocol::attestation::{Collateral, TcbStatus, Tee};

/// What the collateral is to say.
#[derive(Clone, Debug)]
pub struct CollateralOptions {
    /// Issued at, seconds since 1970.
    pub issued: u64,
    /// Valid until.
    pub expires: u64,
    /// Status of machines with the current profile.
    pub status: TcbStatus,
    /// TCB evaluation number of both statements.
    pub evaluation_number: u32,
    /// The kind of machine that TCB info is about.
    pub fmspc: [u8; 6],
    /// Serial numbers of revoked machines.
    pub revoked_machines: Vec<Serial>,
    /// Serial numbers of what the root revoked.
    pub revoked_by_root: Vec<Serial>,
}

impl Default for CollateralOptions {
    fn default() -> Self {
        Self {
            issued: VALID_FROM,
            expires: VALID_UNTIL,
            status: TcbStatus::UpToDate,
            evaluation_number: 17,
            fmspc: FMSPC,
            revoked_machines: Vec::new(),
            revoked_by_root: Vec::new(),
        }
    }
}

impl Authority {
    /// Collateral for the quotes of a machine.
    pub fn collateral(
        &self,
        machine: &Machine,
        tee: Tee,
        options: &CollateralOptions,
    ) -> Collateral {
        let CollateralOptions { issued, expires, .. } = *options;
        let tcb_info = tcb_info(tee, options);
        let qe_identity = qe_identity(tee, options);
        let signer = &self.tcb_signer.key;
        Collateral {
            root_certificate: self.root.certificate.clone().into(),
            pck_ca_certificate: self.pck_ca.certificate.clone().into(),
            pck_certificate: machine.pck.certificate.clone().into(),
            tcb_signer_certificate: self.tcb_signer.certificate.clone().into(),
            root_crl: self.root_crl(&options.revoked_by_root, issued, expires).into(),
            pck_crl: self.pck_crl(&options.revoked_machines, issued, expires).into(),
            tcb_info_signature: signer.sign(tcb_info.as_bytes()).into(),
            tcb_info,
            qe_identity_signature: signer.sign(qe_identity.as_bytes()).into(),
            qe_identity,
        }
    }
}

/// TCB info, version 3: the current profile, and everything below as out of date.
fn tcb_info(tee: Tee, options: &CollateralOptions) -> String {
    let id = match tee {
        Tee::Sgx => "SGX",
        Tee::Tdx => "TDX",
    };
    let module = match tee {
        Tee::Sgx => String::new(),
        Tee::Tdx => tdx_module(),
    };
    let oldest = Profile { cpu_svn: [0; 16], pce_svn: 0, tee_tcb_svn: [0; 16] };
    let levels = [
        tcb_level(tee, &Profile::CURRENT, "2024-03-13", options.status),
        tcb_level(tee, &oldest, "2020-11-11", TcbStatus::OutOfDate),
    ];
    format!(
        r#"{{"id":"{id}","version":3,{},"fmspc":"{}","pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":{},{module}"tcbLevels":[{}]}}"#,
        dates(options),
        hex::encode_upper(options.fmspc),
        options.evaluation_number,
        levels.join(","),
    )
}

fn tcb_level(tee: Tee, profile: &Profile, date: &str, status: TcbStatus) -> String {
    let components = |svns: &[u8; 16]| {
        let list: Vec<String> = svns.iter().map(|svn| format!(r#"{{"svn":{svn}}}"#)).collect();
        list.join(",")
    };
    let tdx = match tee {
        Tee::Sgx => String::new(),
        Tee::Tdx => format!(r#","tdxtcbcomponents":[{}]"#, components(&profile.tee_tcb_svn)),
    };
    format!(
        r#"{{"tcb":{{"sgxtcbcomponents":[{}],"pcesvn":{}{tdx}}},"tcbDate":"{date}T00:00:00Z","tcbStatus":"{status}"}}"#,
        components(&profile.cpu_svn),
        profile.pce_svn,
    )
}

/// The TDX module of the current profile: signed by Intel, which is written as zeros.
fn tdx_module() -> String {
    let identity = format!(
        r#""mrsigner":"{}","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF""#,
        "0".repeat(96)
    );
    let [isv_svn, version, ..] = Profile::CURRENT.tee_tcb_svn;
    format!(
        r#""tdxModule":{{{identity}}},"tdxModuleIdentities":[{{"id":"TDX_{version:02X}",{identity},"tcbLevels":[{{"tcb":{{"isvsvn":{isv_svn}}},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"UpToDate"}}]}}],"#
    )
}

/// QE identity, version 2.
fn qe_identity(tee: Tee, options: &CollateralOptions) -> String {
    let id = match tee {
        Tee::Sgx => "QE",
        Tee::Tdx => "TD_QE",
    };
    let qe = QuotingEnclave::of(tee);
    format!(
        r#"{{"id":"{id}","version":2,{},"tcbEvaluationDataNumber":{},"miscselect":"00000000","miscselectMask":"FFFFFFFF","attributes":"11000000000000000000000000000000","attributesMask":"FBFFFFFFFFFFFFFF0000000000000000","mrsigner":"{}","isvprodid":{},"tcbLevels":[{{"tcb":{{"isvsvn":{}}},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"UpToDate"}}]}}"#,
        dates(options),
        options.evaluation_number,
        hex::encode_upper(qe.mr_signer),
        qe.product,
        qe.security_version,
    )
}

fn dates(options: &CollateralOptions) -> String {
    format!(
        r#""issueDate":"{}","nextUpdate":"{}""#,
        rfc3339(options.issued),
        rfc3339(options.expires)
    )
}
