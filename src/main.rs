fn main() -> std::process::ExitCode {
    herstel::cli::main()
}
