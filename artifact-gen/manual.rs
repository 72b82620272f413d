//! What `--help` prints.

/// One line.
pub const USAGE: &str =
    "docker-artifact-gen [options] IMAGE [IMAGES...] [-- [options-for-mender-artifact] ]";

/// Written by hand: upstream's order and words, one screen, and what the option list alone does not teach.
pub const HELP: &str = "\
Makes a Mender Artifact for the docker Update Module.

Each image is pinned: its registry is asked once which digest the tag has now, nothing is pulled, and devices run
exactly that digest. Run args are checked by the parser that the device uses. The same digests and options give the
same bytes.

Usage: docker-artifact-gen [options] IMAGE [IMAGES...] [-- [options-for-mender-artifact] ]
       docker-artifact-gen sign|validate|read --help      what can be done with an Artifact that exists

Options:
  -n, --artifact-name NAME         Artifact name
  -t, --device-type TYPE           Target device type identification (can be given more than once)
  -c, --compatible-types TYPE      The same under mender-artifact's new name; give one or the other
      --software-name NAME         Name of the key to store the software version: rootfs-image.NAME.version,
                                   instead of rootfs-image.docker.version
      --software-version VERSION   Value for the software version, defaults to the name of the artifact
      --software-filesystem NAME   If specified, is used instead of rootfs-image
      --run-args ARGS              Command line args to add when running the container(s), as for 'docker run';
                                   quotes and backslashes work as in a shell, nothing is expanded
      --platform OS/ARCH[/VARIANT] Refuse an image that is not there for it, by the choice that devices make (can be
                                   given more than once); the whole image stays pinned, with --embed only what these
                                   platforms need travels
      --embed                      The images travel inside the Artifact, see below
      --assume IMAGE@DIGEST|FILE   With --embed: leave out the layers that devices have from this image, or from what
                                   this older Artifact brought them (can be given more than once)
  -o, --output-path FILE           Path to output file. Default: docker-artifact.mender; - is standard output
  -k, --key FILE                   Sign with this private key: RSA (PKCS#1, PKCS#8) or EC P-256 (SEC1, PKCS#8), in PEM
                                   form and not encrypted
      --sign-command COMMAND       Sign with what this command line prints when it reads the bytes to sign: keys with a
                                   passphrase, on tokens and in clouds, see below
      --dry-run                    Do everything but write the file and run --sign-command; with --embed no layer is
                                   fetched either, the size is computed
      --no-progress                Do not say on a terminal what is being done
      --format text|json           What to print about the artifact. Default: text, as 'mender-artifact read' does
  -h, --help                       Show help and exit
  -V, --version                    Show version and exit
  IMAGE [IMAGES...]                Container images to add to the Artifact, by tag or by digest

Options for mender-artifact that are understood after '--':
  -p/--provides K:V  -d/--depends K:V  -g/--provides-group  -G/--depends-groups  -N/--artifact-name-depends
  --clears-provides  --no-default-clears-provides  --no-default-software-version
  -s/--script FILE|FOLDER  -f/--file FILE  --warn-artifact-size SIZE  --max-artifact-size SIZE  --no-progress
  --compression gzip|none|lzma|zstd_fastest|zstd_fast|zstd_better|zstd_best
  and those above. Others are refused by name.

Signing by command (the signature may be raw, DER or base64):
  --sign-command 'openssl dgst -sha256 -sign encrypted.pem'
  --sign-command 'pkcs11-tool --login --sign --mechanism SHA256-RSA-PKCS --id 01'
  --sign-command 'openssl dgst -sha256 -binary | pkcs11-tool --login --sign --mechanism ECDSA --id 02'
  --sign-command 'vault write -field=signature transit/sign/KEY/sha2-256 input=$(base64 -w0)
                  signature_algorithm=pkcs1v15 | cut -d: -f3'

Images inside the Artifact (--embed):
  Devices need no registry then. Every blob is the registry's, byte for byte, so the pinned digest is the same with and
  without a network. Of an image for several platforms --platform says which travel. Nothing is packed once more unless
  --compression is given: layers are packed already, save in most docker-archives. Layers that --assume leaves out have
  to be on the device; one that lacks them refuses the Artifact before it takes any. An IMAGE may also be, in skopeo's
  words,  oci:FOLDER[:TAG]  oci-archive:FILE[:TAG]  docker-archive:FILE[:NAME]  and is called as it is there, or
  localhost/FILE where that is no whole name. What a docker-archive holds has no digest that a registry knows: devices
  get it by its tag.

Registries:
  Passwords come from ~/.docker/config.json or $DOCKER_CONFIG/config.json ('docker login' and 'skopeo login' write
  it), certificates from /etc/docker/certs.d. Plain http works for registries on this machine; for others set
  'insecure = yes' in their section of /etc/dray/dray.ini.

Environment:
  SOURCE_DATE_EPOCH                Time stamp inside the artifact, in seconds since 1970. Default: 0

Examples:
  docker-artifact-gen -n web-1.27 -t raspberrypi4 nginx:1.27
  docker-artifact-gen -n shop-7 -t qemu -t rpi --run-args '-p 8080:80 --restart unless-stopped' \\
      -o shop-7.mender registry.example.com/shop/web:7
  docker-artifact-gen -n shop-8 -t qemu -k private.pem registry.example.com/shop/web:8 -- --depends-groups beta
  docker-artifact-gen -n shop-9 -t qemu --embed --platform linux/arm64 --assume shop-8.mender -o shop-9.mender \\
      registry.example.com/shop/web:9
";
