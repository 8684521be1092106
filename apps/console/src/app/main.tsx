import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { dismiss, follow, useConsole } from './state.ts'
import { Header } from './header.tsx'
import { Overview } from './overview.tsx'
import { PipelinesPage } from './pipelines-page.tsx'
import { RunPage } from './run-page.tsx'
import { DataPage } from './data-page.tsx'

const useRoute = (): readonly string[] => {
  const read = (): readonly string[] =>
    location.hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(decodeURIComponent)
  const [route, setRoute] = useState(read)
  useEffect(() => {
    const changed = (): void => {
      setRoute(read())
      // A new page is announced from its top, as a page load would be.
      document.querySelector<HTMLElement>('main')?.focus()
      scrollTo(0, 0)
    }
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return route
}

const SignedOut = () => (
  <section class="empty" role="alert">
    <h1>This browser has no session</h1>
    <p>
      Open the link that <code>ecokit up</code> printed when it started: it carries the key once, and this browser keeps
      it.
    </p>
  </section>
)

const Page = ({ route }: { readonly route: readonly string[] }) => {
  const [kind, first, second] = route
  if (kind === 'runs' && first !== undefined) return <RunPage id={first} />
  if (kind === 'pipelines') return <PipelinesPage />
  if (kind === 'data') return <DataPage partner={first} stream={second} />
  return <Overview />
}

const App = () => {
  const { signedOut, notice } = useConsole()
  const route = useRoute()
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>('main')?.focus())}
      >
        Skip to the content
      </a>
      <Header route={route[0] ?? ''} />
      {notice !== undefined && (
        <div class="notice" role="alert">
          {notice}
          <button class="quiet" onClick={dismiss} aria-label="Dismiss the message">
            ✕
          </button>
        </div>
      )}
      <main id="main" tabIndex={-1}>
        {signedOut ? <SignedOut /> : <Page route={route} />}
      </main>
    </>
  )
}

const root = document.getElementById('app')
if (root !== null) render(<App />, root)
follow()
