#!/bin/sh
# Unpacks Debian packages, with everything that they depend on, into a folder of their own. Nothing is installed on the
# machine, and no root is needed: apt-get gets lists and a status of its own, so that the C library comes along too, and
# a program is started by the dynamic loader of that library.
#
# Usage: install.sh FOLDER SUITE MIRROR PACKAGE PROGRAM[=PATH]…
# FOLDER/bin gets a command for each PROGRAM, which runs FOLDER/root/PATH; without a path it is another name of the one
# before.
#
# The caller holds a lock on FOLDER. It appears complete or not at all.
set -eu
folder=$1 suite=$2 mirror=$3 package=$4
shift 4
if [ -d "$folder" ]; then exit 0; fi

# What a run that was killed left here is not used again.
work=$folder.unfinished
rm -rf "$work"
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/done/root" "$work/done/bin"
: >"$work/apt/status"

# The key of Debian's archive is part of Debian. Other distributions have a package of it, which apt-get checks.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -e "$keyring" ]; then
  (cd "$work/apt" && apt-get -q download debian-archive-keyring && dpkg-deb -x debian-archive-keyring_*.deb keyring)
  keyring=$work/apt/keyring$keyring
fi

# The settings of the machine hold too, such as those of a proxy; what it does after an update is not done here.
cat >"$work/apt/apt.conf" <<END
Dir::State "$work/apt";
Dir::State::lists "lists";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt";
Dir::Cache::archives "archives";
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
END
echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/apt/sources.list"

apt() { apt-get -c "$work/apt/apt.conf" -q -o Acquire::Retries=3 "$@"; }
apt update
apt install --download-only -y "$package"
for archive in "$work"/apt/archives/*.deb; do dpkg-deb -x "$archive" "$work/done/root"; done

cd "$work/done"
loader=$(find root -type f -name 'ld-linux*.so.*' | head -n 1)
# Before Debian 13, some libraries are in /lib and some in /usr/lib.
libraries=$(find root -name 'libc.so.*' | head -n 1 | sed 's|^root/||; s|^usr/||; s|/[^/]*$||')
if [ -z "$loader" ] || [ -z "$libraries" ]; then
  echo "no dynamic loader came with $package" >&2
  exit 1
fi
for program in "$@"; do
  case $program in
    *=*)
      name=${program%%=*}
      path=root/${program#*=}
      test -x "$path"
      start=$loader
      environment=
      further=
      options=
      case $name in
        # MySQL looks for its files near the program, MariaDB in /usr.
        mariadbd) options='"--basedir=$here/root/usr"' ;;
        # Chromium looks for its files near the program that runs, which is the loader. It starts each of its processes by
        # the command that it is told, but for the zygote, which can be left out.
        chromium)
          start=${path%/*}/loader
          cp "$loader" "$start"
          environment='env "FONTCONFIG_SYSROOT=$here/root"'
          further=':$here/root/usr/'$libraries/pulseaudio
          options='--no-zygote "--browser-subprocess-path=$here/bin/chromium"'
          ;;
      esac
      cat >"bin/$name" <<END
#!/bin/sh
here=\${0%/bin/*}
libraries=\$here/root/usr/$libraries:\$here/root/$libraries:\$here/root/usr/lib/$package$further
exec $environment "\$here/$start" --library-path "\$libraries" "\$here/$path" "\$@" $options
END
      chmod +x "bin/$name"
      ;;
    *) ln -s "$name" "bin/$program" ;;
  esac
done

mv "$work/done" "$folder"
rm -rf "$work"
