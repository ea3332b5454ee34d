//! Serial strings that real devices showed in public, the last digits of ECIDs and serial numbers made up.

use crate::ids::Mode;

/// A string, and what it must be read as.
pub struct Real {
    pub mode: Mode,
    pub text: &'static str,
    /// Of the phone, also behind a port controller.
    pub chip: u32,
    pub board: u32,
    /// Of the phone; none where the string does not tell it.
    pub ecid: Option<u64>,
    /// The product type in the table; none for what is no iPhone, iPad or the like.
    pub product: Option<&'static str>,
}

const fn real(
    mode: Mode,
    text: &'static str,
    (chip, board): (u32, u32),
    ecid: u64,
    product: Option<&'static str>,
) -> Real {
    let ecid = if ecid == 0 { None } else { Some(ecid) };
    Real { mode, text, chip, board, ecid, product }
}

use Mode::{Dfu, PortDfu, Recovery};

#[rustfmt::skip]
pub const ALL: &[Real] = &[
    real(Dfu, "CPID:8930 CPRV:20 CPFM:03 SCEP:01 BDID:02 ECID:00000208210A4321 IBFL:00 SRTG:[iBoot-574.4]",
        (0x8930, 0x02), 0x208_210A_4321, Some("iPad1,1")),
    real(Dfu, "CPID:8960 CPRV:11 CPFM:03 SCEP:01 BDID:0A ECID:000007F4F156ABCD IBFL:1C SRTG:[iBoot-1704.10]",
        (0x8960, 0x0A), 0x7F4_F156_ABCD, Some("iPad4,4")),
    real(Dfu, "CPID:7000 CPRV:11 CPFM:03 SCEP:01 BDID:00 ECID:00022D3C10981234 IBFL:1C SRTG:[iBoot-1992.0.0.1.19]",
        (0x7000, 0x00), 0x2_2D3C_1098_1234, None),
    real(Dfu, "CPID:7000 CPRV:11 CPFM:03 SCEP:01 BDID:06 ECID:00022D3C10985678 IBFL:1C SRTG:[iBoot-1992.0.0.1.19]",
        (0x7000, 0x06), 0x2_2D3C_1098_5678, Some("iPhone7,2")),
    real(Dfu, "CPID:8000 CPRV:20 CPFM:03 SCEP:01 BDID:04 ECID:000004F628A40F0F IBFL:1C SRTG:[iBoot-2234.0.0.3.3]",
        (0x8000, 0x04), 0x4F6_28A4_0F0F, Some("iPhone8,1")),
    real(Dfu, "CPID:8000 CPRV:20 CPFM:03 SCEP:01 BDID:06 ECID:000004F628A4F0F0 IBFL:1C SRTG:[iBoot-2234.0.0.3.3]",
        (0x8000, 0x06), 0x4F6_28A4_F0F0, Some("iPhone8,2")),
    real(Dfu, "CPID:8003 CPRV:01 CPFM:03 SCEP:01 BDID:04 ECID:000264D410FB9876 IBFL:1C SRTG:[iBoot-2234.0.0.2.22]",
        (0x8003, 0x04), 0x2_64D4_10FB_9876, Some("iPhone8,1")),
    real(Dfu, "CPID:8015 CPRV:11 CPFM:03 SCEP:01 BDID:02 ECID:0016519820F85555 IBFL:3C SRTG:[iBoot-3332.0.0.1.23]",
        (0x8015, 0x02), 0x16_5198_20F8_5555, Some("iPhone10,1")),
    real(Dfu, "CPID:8015 CPRV:11 CPFM:03 SCEP:01 BDID:0E ECID:000C2C6800440001 IBFL:3C SRTG:[iBoot-3332.0.0.1.23]",
        (0x8015, 0x0E), 0xC_2C68_0044_0001, Some("iPhone10,6")),
    real(Dfu, "SDOM:01 CPID:8110 CPRV:11 CPFM:03 SCEP:01 BDID:0A ECID:001A2B3C4D5E6F70 IBFL:3C SRTG:[iBoot-6338.0.0.200.19]",
        (0x8110, 0x0A), 0x1A_2B3C_4D5E_6F70, Some("iPhone14,5")),
    real(Dfu, "SDOM:01 CPID:8110 CPRV:11 CPFM:03 SCEP:01 BDID:18 ECID:0012100000001234 IBFL:3C SRTG:[iBoot-6338.0.0.200.19]",
        (0x8110, 0x18), 0x12_1000_0000_1234, Some("iPhone14,7")),
    real(Dfu, "SDOM:01 CPID:8120 CPRV:11 CPFM:03 SCEP:01 BDID:0E ECID:001A2B3C4D5E6F71 IBFL:3C SIKA:00 SRTG:[iBoot-7195.0.0.300.25]",
        (0x8120, 0x0E), 0x1A_2B3C_4D5E_6F71, Some("iPhone15,3")),
    real(Dfu, "CPID:8103 CPRV:11 CPFM:03 SCEP:01 BDID:22 ECID:0004000000000001 IBFL:3C SRTG:[iBoot-5540.0.0.400.2]",
        (0x8103, 0x22), 0x4_0000_0000_0001, None),
    real(Dfu, "SDOM:01 CPID:FE00 CPRV:00 CPFM:03 SCEP:01 BDID:20 ECID:CAD01AC095BA1111 IBFL:3C SRTG:[iBoot-7429.41.5]",
        (0xFE00, 0x20), 0xCAD0_1AC0_95BA_1111, None),
    real(Recovery, "SDOM:01 CPID:8015 CPRV:11 CPFM:03 SCEP:01 BDID:0E ECID:000C2C6800440001 IBFL:3D SRNM:[FK1WT6BP0000]",
        (0x8015, 0x0E), 0xC_2C68_0044_0001, Some("iPhone10,6")),
    real(Recovery, "SDOM:01 CPID:8015 CPRV:11 CPFM:03 SCEP:01 BDID:0E ECID:000E421A01C0BEEF IBFL:3D SRNM:[GHKZ21160000]",
        (0x8015, 0x0E), 0xE_421A_01C0_BEEF, Some("iPhone10,6")),
    real(Recovery, "SDOM:01 CPID:8132 CPRV:11 CPFM:03 SCEP:01 BDID:0E ECID:001A2B3C4D5E6F72 IBFL:3D SIKA:00 SRNM:[ABCDEF0000]",
        (0x8132, 0x0E), 0x1A_2B3C_4D5E_6F72, Some("iPad16,6")),
    real(Recovery, "SDOM:01 CPID:8120 CPRV:11 CPFM:03 SCEP:01 BDID:10 ECID:00094DAA01D8ABBA IBFL:3D SIKA:00 SRNM:[JXMWM70000]",
        (0x8120, 0x10), 0x9_4DAA_01D8_ABBA, Some("iPad15,7")),
    real(Recovery, "SDOM:01 CPID:FE01 CPRV:00 CPFM:03 SCEP:01 BDID:20 ECID:0000000000000000 IBFL:3D SRNM:[1234]",
        (0xFE01, 0x20), 0, None),
    real(PortDfu, "SDOM:01 CPID:0022 BDID:000000000C814000 ECID:747D1772145A2222 CPFM:03 SCEP:00 CPRV:1A3 PREV:2F",
        (0x8140, 0x0C), 0, Some("iPhone17,1")),
];
