/// The version of lmmc: programs say it, and objects that are kept between compilations are those of one version.
public let lmmcVersion = "0.1.0"
