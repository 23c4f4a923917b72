#!/bin/sh
# prune.sh ENVIRONMENT: takes out of it what no platform loads. A third of the libraries are names of debuggers, tests,
# sources of what is compiled, and descriptions of services that nobody here speaks to.
set -eu
cd "$1"/lib/python3*/site-packages
rm -rf kubernetes/aio Crypto/SelfTest sqlalchemy/testing alembic/testing numpy/f2py numpy/distutils "$1"/bin/f2py
find . -type d -name tests -prune -exec rm -r {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' -o -name '*.a' \) -delete
# Of the highlighter of tracebacks the other languages; 400 services of AWS. What is signed in with stays.
find pygments/lexers -name '*.py*' ! -name '__init__.*' ! -name '_mapping.*' ! -name 'python.*' ! -name 'special.*' -delete
for data in botocore/data boto3/data; do
  find "$data" -mindepth 1 -maxdepth 1 -type d ! -name lambda ! -name s3 ! -name sns ! -name sqs ! -name sts ! -name sso \
    ! -name sso-oidc ! -name signin -exec rm -r {} +
done
# Not those in *.libs: auditwheel has moved their parts about, and strip breaks such files.
find . -type f -name '*.so' ! -path '*.libs/*' -exec strip --strip-unneeded {} +
