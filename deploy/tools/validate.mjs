// Checks custom resources (a JSON list on standard input) against the models of their makers; prints a line for each fault.
// Run from a folder in which the models of package.json are installed.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "cert-manager.io": "cert-manager",
  "external-secrets.io": "external-secrets",
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
  "monitoring.coreos.com": "prometheus-operator",
  "networking.istio.io": "istio",
  "security.istio.io": "istio",
};

let text = "";
for await (const chunk of process.stdin) text += chunk;

let faults = 0;
for (const one of JSON.parse(text)) {
  const [group, version] = one.apiVersion.split("/");
  const where = `${one.kind} ${one.metadata.name}`;
  const say = (what) => { faults += 1; console.log(`${where}: ${what}`); };
  if (!(group in PACKAGES)) { say(`no model of ${one.apiVersion}`); continue; }
  const name = `@kubernetes-models/${PACKAGES[group]}`;
  let Model;
  try {
    Model = (await import(pathToFileURL(join(process.cwd(), "node_modules", name, group, version, `${one.kind}.js`))))[one.kind];
  } catch (error) { say(`no model of ${one.apiVersion}: ${error.message}`); continue; }
  try { new Model(one).validate(); } catch (error) { say(error.message); }
}
process.exit(faults ? 1 : 0);
